"use strict";

/* Tables: sorted by a click on a heading, filtered by words. */
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
  if (body.rows.length > 3) {
    const filter = document.createElement("input");
    filter.type = "search";
    filter.className = "filter";
    filter.placeholder = "Show rows with …";
    filter.setAttribute("aria-label", "Show only the rows with these words");
    table.parentElement.before(filter);
    filter.addEventListener("input", () => {
      const words = filter.value.toLowerCase().split(/\s+/);
      for (const row of body.rows) {
        const text = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
    });
  }
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

/* Light and dark: as the system says, until the reader says otherwise. */
const theme = document.createElement("button");
theme.type = "button";
document.querySelector(".tools").append(theme);
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
let chosenTheme = null;
try {
  chosenTheme = localStorage.getItem("deepobs-theme");
} catch {
  // Some browsers keep nothing for pages that are files.
}
function applyTheme() {
  const isDark = chosenTheme ? chosenTheme === "dark" : systemIsDark.matches;
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
  theme.textContent = isDark ? "Light colors" : "Dark colors";
}
theme.addEventListener("click", () => {
  chosenTheme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("deepobs-theme", chosenTheme);
  } catch {
    // It holds for this visit.
  }
  applyTheme();
});
systemIsDark.addEventListener("change", applyTheme);
applyTheme();

/* Optimizers: a click on a key hides one in all figures, on a line or twice on a key it stands out. */
const marked = [...document.querySelectorAll("[data-series]")];
const names = new Map();
for (const key of document.querySelectorAll("button.key")) {
  const name = key.textContent.trim();
  const known = names.get(key.dataset.series);
  if (known === undefined || name.length < known.length) names.set(key.dataset.series, name);
}
const hidden = new Set();
let strong = null;
const shown = document.createElement("div");
shown.className = "shown";
shown.setAttribute("role", "status");
const shownText = document.createElement("span");
const showAll = document.createElement("button");
showAll.type = "button";
showAll.textContent = "Show all";
shown.append(shownText, showAll);
document.body.append(shown);
showAll.addEventListener("click", () => {
  hidden.clear();
  strong = null;
  applyShown();
});

function applyShown(hovered = null) {
  const emphasized = strong ?? hovered;
  for (const element of marked) {
    const series = element.dataset.series;
    element.classList.toggle("off", hidden.has(series));
    element.classList.toggle("faded", emphasized !== null && emphasized !== series);
    if (element.matches("button")) element.setAttribute("aria-pressed", !hidden.has(series));
  }
  const parts = [];
  if (hidden.size) parts.push("Hidden: " + [...hidden].map((each) => names.get(each)).join(", "));
  if (strong !== null) parts.push("Emphasized: " + names.get(strong));
  shownText.textContent = parts.join(". ");
  shown.hidden = !parts.length;
}

function emphasize(series) {
  strong = strong === series ? null : series;
  hidden.delete(series);
  applyShown();
}

for (const key of document.querySelectorAll("button.key")) {
  const series = key.dataset.series;
  key.title = "Click to hide or show it in all figures, twice to emphasize it";
  key.addEventListener("click", () => {
    hidden.has(series) ? hidden.delete(series) : hidden.add(series);
    applyShown();
  });
  key.addEventListener("dblclick", () => emphasize(series));
  key.addEventListener("pointerenter", () => applyShown(series));
  key.addEventListener("pointerleave", () => applyShown());
}
applyShown();

/* Values under the pointer. */
const SVG = "http://www.w3.org/2000/svg";
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
document.body.append(tip);

for (const panel of document.querySelectorAll(".panel")) {
  const svg = panel.querySelector("svg");
  let data = null;
  let marks = null;
  let nearest = null;
  const show = (event) => {
    data ??= JSON.parse(panel.dataset.panel);
    if (!marks) {
      marks = document.createElementNS(SVG, "g");
      svg.append(marks);
    }
    const place = new DOMPoint(event.clientX, event.clientY);
    const { x, y } = place.matrixTransform(svg.getScreenCTM().inverse());
    const hits = hitsAt(data, x, y);
    nearest = hits.reduce((best, hit) => (best && best.away <= hit.away ? best : hit), null);
    marks.replaceChildren(...marksOf(data, hits));
    tell(data, hits, event);
  };
  const leave = () => {
    tip.hidden = true;
    nearest = null;
    marks?.replaceChildren();
  };
  svg.addEventListener("pointermove", show);
  svg.addEventListener("pointerdown", show);
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("click", () => {
    if (nearest && nearest.away < 12 && nearest.series.owner !== undefined) {
      emphasize(String(nearest.series.owner));
    }
  });
}
addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

function share(axis, value) {
  const [low, high] = axis.limits;
  return axis.log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
}

/** What is drawn near a place: of curves, the values at the nearest x; else the nearest mark. */
function hitsAt(data, x, y) {
  const [left, top, width, height] = data.box;
  if (x < left - 8 || x > left + width + 8 || y < top - 8 || y > top + height + 8) return [];
  const points = [];
  for (const series of data.series) {
    if (series.owner !== undefined && hidden.has(String(series.owner))) continue;
    series.x.forEach((value, index) => {
      if (value === null || series.y[index] === null) return;
      const px = left + share(data.x, value) * width;
      const py = top + (1 - share(data.y, series.y[index])) * height;
      points.push({ series, index, px, py, away: Math.hypot(px - x, py - y) });
    });
  }
  const isCurves = !data.y.names.length && data.series.some((each) => each.x.length > 1);
  if (!isCurves) {
    const near = points.filter((point) => point.series.text || point.away < 25);
    return near.sort((one, other) => one.away - other.away).slice(0, 1);
  }
  const distance = Math.min(...points.map((point) => Math.abs(point.px - x)));
  const at = points.find((point) => Math.abs(point.px - x) === distance)?.px;
  const found = new Map();
  for (const point of points) {
    // The value of a staircase holds until the next one; other values stand where they were taken.
    const counts = point.series.step ? point.px <= x + 0.01 : Math.abs(point.px - at) < 0.5;
    if (counts) found.set(point.series, point.series.step ? { ...point, px: x } : point);
  }
  return [...found.values()].sort((one, other) => one.py - other.py);
}

function marksOf(data, hits) {
  const [left, top, width, height] = data.box;
  const drawn = [];
  if (hits.length && !hits[0].series.text && !data.y.names.length) {
    drawn.push(element("line", {
      class: "guide", x1: hits[0].px, x2: hits[0].px, y1: top, y2: top + height,
    }));
  }
  for (const { series, px, py } of hits) {
    if (series.text || px < left || px > left + width || py < top || py > top + height) continue;
    const circle = element("circle", { cx: px, cy: py, r: 2.2 });
    circle.style.fill = colorOf(series);
    drawn.push(circle);
  }
  return drawn;
}

function element(name, attributes) {
  const created = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) created.setAttribute(key, value);
  created.style.pointerEvents = "none";
  return created;
}

const colors = new Map();
for (const path of document.querySelectorAll("button.key path")) {
  colors.set(path.closest("button").dataset.series, path.style.stroke);
}
function colorOf(series) {
  return colors.get(String(series.owner)) ?? "var(--faint)";
}

function tell(data, hits, event) {
  tip.hidden = !hits.length;
  if (!hits.length) return;
  const first = hits[0];
  const row = data.y.names[first.series.y[first.index]];
  const heading = document.createElement("b");
  if (first.series.text) {
    heading.textContent = data.x.names.length || row === undefined ? "" : row;
  } else {
    const value = first.series.step ? "" : written(first.series.x[first.index]);
    heading.textContent = `${data.x.label} ${value}`.trim();
  }
  const lines = hits.slice(0, 16).map((hit) => {
    const line = document.createElement("div");
    const [mark, name, value] = ["i", "span", "span"].map((tag) => document.createElement(tag));
    mark.style.background = colorOf(hit.series);
    name.textContent = hit.series.name;
    value.textContent = valueOf(data, hit);
    line.append(mark, name, value);
    return line;
  });
  tip.replaceChildren(heading, ...lines);
  const { width, height } = tip.getBoundingClientRect();
  const below = event.clientY + 16 + height > innerHeight;
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 16, innerWidth - width - 8))}px`;
  tip.style.top = `${Math.max(4, below ? event.clientY - height - 12 : event.clientY + 16)}px`;
}

function valueOf(data, { series, index }) {
  if (series.text) return series.text[index];
  if (data.y.names.length) return "";
  const value = written(series.y[index]);
  const [low, high] = [series.low?.[index], series.high?.[index]];
  const has = low !== null && low !== undefined && low !== high;
  return has ? `${value} (${written(low)} to ${written(high)})` : value;
}

function written(value) {
  return String(Number(value.toPrecision(4)));
}
