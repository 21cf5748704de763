"use strict";
// What a reader gains where scripts run: values under a cross hair, tables that sort, a filter. Nothing needs it.

// Charts: each has unseen columns whose <title> tells the numbers of that stretch.
function crosshair(chart) {
  const columns = [...chart.querySelectorAll("g[pointer-events] > rect")];
  if (!columns.length) return;
  const inner = columns[0].ownerSVGElement;
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  for (const [name, value] of [["class", "crosshair"], ["stroke", "#707070"], ["vector-effect", "non-scaling-stroke"]])
    line.setAttribute(name, value);
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  tip.hidden = true;
  chart.parentNode.append(tip);
  const texts = columns.map(column => {
    const title = column.querySelector("title");
    const text = title.textContent;
    title.remove(); // else the browser shows it as well
    return text;
  });
  let shown = -1;

  function show(number) {
    if (number === shown) return;
    shown = number;
    const column = columns[number];
    const middle = Number(column.getAttribute("x")) + Number(column.getAttribute("width")) / 2;
    line.setAttribute("d", `M${middle} 0V${column.getAttribute("height")}`);
    inner.append(line);
    tip.textContent = texts[number];
    tip.hidden = false;
    const place = column.getBoundingClientRect(), around = chart.parentNode.getBoundingClientRect();
    const left = place.left - around.left + place.width / 2;
    const leftmost = left + 12 + tip.offsetWidth > around.width ? left - 12 - tip.offsetWidth : left + 12;
    tip.style.left = `${Math.max(0, leftmost)}px`;
    tip.style.top = `${place.top - around.top}px`;
  }

  function hide() {
    shown = -1;
    line.remove();
    tip.hidden = true;
  }

  columns.forEach((column, number) => column.addEventListener("pointerenter", () => show(number)));
  inner.addEventListener("pointerleave", hide);
  chart.setAttribute("tabindex", "0");
  chart.addEventListener("blur", hide);
  chart.addEventListener("keydown", event => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -columns.length, End: columns.length };
    if (event.key === "Escape") hide();
    if (!(event.key in steps)) return;
    event.preventDefault();
    const from = shown < 0 ? (event.key === "ArrowLeft" || event.key === "End" ? columns.length : -1) : shown;
    show(Math.min(columns.length - 1, Math.max(0, from + steps[event.key])));
  });
}

// Tables: a click on a head sorts by that column, another one the other way round.
const LASTING = { ms: 1, s: 1e3, m: 6e4, min: 6e4, h: 36e5 };
const SIZES = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

function value(row, column) {
  return number(row.cells[column]?.textContent ?? "");
}

function number(cell) {
  const text = cell.trim().replaceAll(",", "");
  if (!/^[+±-]?\d/.test(text) || /^\d{4}-\d\d-\d\d/.test(text)) return text; // words, or a date
  const parts = [...text.matchAll(/([+-]?[\d.]+(?:e[+-]?\d+)?)\s*([A-Za-z]*)/g)];
  const lasting = parts.every(([, , unit]) => unit in LASTING) ? parts : parts.slice(0, 1); // 1m30s
  return lasting.reduce((sum, [, number, unit]) => sum + Number(number) * (LASTING[unit] ?? SIZES[unit] ?? 1), 0);
}

function compare(one, other, down) {
  const missing = [one, other].map(each => each === "" || each === "–");
  if (missing[0] !== missing[1]) return missing[0] ? 1 : -1; // comes last whichever way
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  return (typeof one === "number" ? one - other : one.localeCompare(other)) * (down ? -1 : 1);
}

function sortable(table) {
  const body = table.tBodies[0], heads = [...(table.tHead?.rows[0].cells ?? [])];
  if (!body || body.rows.length < 3) return;
  heads.forEach((head, column) => {
    if (!head.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].filter(row => !row.classList.contains("gap"));
      body.querySelectorAll("tr.gap").forEach(row => row.remove());
      rows.sort((one, other) => compare(value(one, column), value(other, column), down));
      body.append(...rows);
    });
  });
}

// The filter: whatever bears data-filter is shown if its text has all words.
function filter() {
  const field = document.querySelector("#filter");
  if (!field) return;
  field.closest("[hidden]").hidden = false;
  const told = document.querySelector("#filtered");
  const parts = [...document.querySelectorAll("[data-filter]")];

  function apply() {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const part of parts) {
      const text = part.dataset.filter.toLowerCase();
      part.hidden = !words.every(word => text.includes(word));
      found += !part.hidden;
    }
    told.textContent = words.length ? `${found} of ${parts.length} tests, loads and runs` : "";
  }

  field.addEventListener("input", apply);
  document.addEventListener("click", event => {
    const link = event.target.closest?.('a[href^="#"]');
    if (!link || !document.getElementById(link.getAttribute("href").slice(1))?.closest("[hidden]")) return;
    field.value = ""; // else the link would lead nowhere
    apply();
  });
}

document.querySelectorAll("svg.chart").forEach(crosshair);
document.querySelectorAll("table").forEach(sortable);
filter();
