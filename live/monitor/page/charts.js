// The result of each account over time, as lines. SVG, drawn anew for each view.

import { clock, el, money } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 190;
const MARGIN = { left: 64, right: 12, top: 10, bottom: 20 };
let pointer = null; // where the mouse is over the chart, 0 to 1; kept from view to view

function shape(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Three to six round values that cover low to high.
export function ticks(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let at = Math.floor(low / step); at <= Math.ceil(high / step); at += 1) found.push(at * step);
  return found;
}

function bounds(lines) {
  const points = lines.flatMap((line) => line.points);
  const values = [0, ...points.map(([, value]) => value)];
  const marks = ticks(Math.min(...values), Math.max(...values, Math.min(...values) + 40_000)); // steps of a cent at least
  const times = points.map(([ns]) => ns);
  return { from: Math.min(...times), to: Math.max(...times), low: marks[0], high: marks.at(-1), marks };
}

function axes(box, scale, width) {
  const parts = [];
  for (const value of box.marks) {
    const y = scale.y(value);
    parts.push(shape("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y, class: value ? "grid" : "zero" }));
    parts.push(shape("text", { x: MARGIN.left - 6, y: y + 4, class: "axis end" }, money(value, true)));
  }
  for (const [ns, anchor] of [[box.from, ""], [box.to, " end"]]) {
    parts.push(shape("text", { x: scale.x(ns), y: HEIGHT - 4, class: `axis${anchor}` }, clock(ns)));
  }
  return parts;
}

const nearest = (points, ns) => points.reduce((a, b) => (Math.abs(b[0] - ns) < Math.abs(a[0] - ns) ? b : a));

function cross(svg, note, lines, box, scale) {
  svg.querySelectorAll(".cross").forEach((old) => old.remove());
  if (pointer === null) {
    note.textContent = "";
    return;
  }
  const ns = box.from + pointer * (box.to - box.from);
  const x = scale.x(ns);
  svg.append(shape("line", { x1: x, x2: x, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom, class: "cross" }));
  const values = lines.map((line) => `${line.name} ${money(nearest(line.points, ns)[1], true)}`);
  note.textContent = `${clock(ns)}: ${values.join(", ")}`;
}

// lines: [{name, kind, points: [[ns, micro-dollars], ...]}]; a chart of those that have two points or more.
export function chart(lines, width) {
  const drawn = lines.filter((line) => line.points.length > 1);
  if (!drawn.length) return el("p.none", "The curve begins with the second look.");
  const box = bounds(drawn);
  const inner = { width: width - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
  const scale = {
    x: (ns) => MARGIN.left + (inner.width * (ns - box.from)) / Math.max(box.to - box.from, 1),
    y: (value) => MARGIN.top + (inner.height * (box.high - value)) / (box.high - box.low),
  };
  const svg = shape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, class: "chart", role: "img" });
  svg.setAttribute("aria-label", `Result over time: ${drawn.map((line) => `${line.name} ${money(line.points.at(-1)[1], true)}`).join(", ")}`);
  svg.append(...axes(box, scale, width));
  for (const line of drawn) {
    const points = line.points.map(([ns, value]) => `${scale.x(ns).toFixed(1)},${scale.y(value).toFixed(1)}`);
    svg.append(shape("polyline", { points: points.join(" "), class: `curve ${line.kind}` }));
  }
  const note = el("p.note");
  svg.addEventListener("pointermove", (event) => {
    const frame = svg.getBoundingClientRect();
    const at = ((event.clientX - frame.left) * (width / frame.width) - MARGIN.left) / inner.width;
    pointer = Math.min(Math.max(at, 0), 1);
    cross(svg, note, drawn, box, scale);
  });
  svg.addEventListener("pointerleave", () => {
    pointer = null;
    cross(svg, note, drawn, box, scale);
  });
  cross(svg, note, drawn, box, scale);
  return el("div", svg, note);
}
