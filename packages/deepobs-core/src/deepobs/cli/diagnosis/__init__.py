"""What `deepobs doctor` looks at: small functions, each of which finds out one thing."""
