// Integers of the project as people read them, and elements with text: nothing here ever becomes markup.

const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });
const MINUS = "−";

export const number = (value) => whole.format(value).replace("-", MINUS);
export const contracts = (lots) => number(lots / 100);

export function money(uusd, signed = false) {
  const text = dollars.format(Math.abs(uusd) / 1e6);
  if (text === "$0.00") return text;
  return (uusd < 0 ? MINUS : signed ? "+" : "") + text;
}

export function price(px) {
  return px === null ? "–" : `${(px / 100).toFixed(2).replace(/\.?0+$/, "")}¢`;
}

export function duration(ns) {
  if (ns === null) return "–";
  if (ns < 0) return MINUS + duration(-ns);
  if (ns >= 60e9) {
    const minutes = Math.floor(ns / 60e9);
    const seconds = String(Math.floor(ns / 1e9) % 60).padStart(2, "0");
    if (minutes < 60) return `${minutes} min ${seconds} s`;
    return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  }
  for (const [unit, size] of [["s", 1e9], ["ms", 1e6], ["µs", 1e3]]) {
    if (ns >= 0.9995 * size) return `${Number((ns / size).toPrecision(3))} ${unit}`;
  }
  return `${Math.round(ns)} ns`;
}

export const clock = (ns) => new Date(ns / 1e6).toLocaleTimeString("en-GB");
export const percent = (share) => `${Math.round(share * 100)} %`;
export const words = (name) => name.replaceAll("_", " ");

// el("td.num.bad", "text" or nodes ...)
export function el(kind, ...children) {
  const [tag, ...classes] = kind.split(".");
  const made = document.createElement(tag);
  if (classes.length) made.className = classes.join(" ");
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function titled(element, title) {
  element.title = title;
  return element;
}

export function table(heads, rows, kind = "table") {
  const head = el("tr", ...heads.map((text) => el(text.startsWith(">") ? "th.num" : "th", text.replace(/^>/, ""))));
  return el(kind, el("thead", head), el("tbody", ...rows));
}

export const none = (text) => el("p.none", text);

// Replace what is inside, and leave the keyboard where it was.
export function fill(element, ...children) {
  const key = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  element.replaceChildren(...children.filter((child) => child !== null));
  if (key !== undefined) element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}
