"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const rows = [...body.rows];
      rows.sort((one, other) => compared(one.cells[column], other.cells[column], descending));
      body.append(...rows);
    });
  });
}

function compared(one, other, descending) {
  const sign = descending ? -1 : 1;
  if ("order" in one.dataset || "order" in other.dataset) {
    const [first, second] = [one, other].map((cell) => parseFloat(cell.dataset.order));
    if (isNaN(first) || isNaN(second)) {
      return isNaN(first) - isNaN(second); // what is not known stays at the end
    }
    return first === second ? 0 : sign * (first < second ? -1 : 1);
  }
  return sign * one.textContent.localeCompare(other.textContent, undefined, { numeric: true });
}
