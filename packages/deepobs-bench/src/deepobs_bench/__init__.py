"""Many runs: experiment files, their plans, and how the runs are carried out."""
