// What the page is made of: words, elements, tables and charts. Knows nothing of buses.
"use strict";

const kPoints = 300;  // of a chart
const byId = (id) => document.getElementById(id);

// ---- words

const kBytes = ["B", "KiB", "MiB", "GiB", "TiB"];
function bytes(value) {
  let unit = 0;
  for (; value >= 1023.95 && unit + 1 < kBytes.length; ++unit) value /= 1024;
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${kBytes[unit]}`;
}
function number(value) {
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} G`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
}
const whole = (value) => value.toLocaleString("en").replaceAll(",", " ");
const percent = (part) => `${Math.round(part * 100)} %`;
function duration(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}
function nanoseconds(value) {
  if (value < 1e3) return `${value} ns`;
  if (value < 1e6) return `${(value / 1e3).toFixed(value < 1e4 ? 1 : 0)} µs`;
  return value < 1e9 ? `${(value / 1e6).toFixed(value < 1e7 ? 1 : 0)} ms` : `${(value / 1e9).toFixed(1)} s`;
}

// ---- elements: text goes in as text, never as HTML

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
function put_class(element, name) {
  if (element.className !== name) element.className = name;
}
// A topic's name, which may break behind its slashes.
function breakable(name) {
  return name.split("/").flatMap((part, i) => (i ? ["/", make("wbr"), part] : [part]));
}
// `ringway rm x`: what stands between back quotes becomes code.
function sentence(text) {
  return text.split("`").map((part, i) => (i % 2 ? make("code", {}, part) : part));
}
function meter() {
  const text = make("span"), bar = make("i", { "aria-hidden": "true" }), all = make("span", { class: "meter" }, bar, text);
  return {
    all,
    set(lag, capacity) {
      const part = capacity > 0 ? Math.min(lag / capacity, 1) : 0;
      bar.style.setProperty("--part", part.toFixed(3));
      put_class(all, `meter${part >= 0.95 ? " full" : part >= 0.75 ? " high" : ""}`);
      put(text, lag === 0 ? "0" : `${bytes(lag)}${part >= 0.01 ? `, ${percent(part)}` : ""}`);
    },
  };
}
const kSvg = "http://www.w3.org/2000/svg";
function spark() {
  const all = document.createElementNS(kSvg, "svg"), path = document.createElementNS(kSvg, "path");
  all.setAttribute("class", "spark");
  all.setAttribute("viewBox", "0 0 59 24");
  all.setAttribute("preserveAspectRatio", "none");
  all.setAttribute("aria-hidden", "true");
  all.append(path);
  return {
    all,
    set(values) {
      const most = Math.max(...values, 1e-9);
      path.setAttribute("d", values.map((value, i) =>
        `${i ? "L" : "M"}${60 - values.length + i} ${(22.5 - 21 * value / most).toFixed(1)}`).join(""));
    },
  };
}

// Rows of a table, kept by key and moved only if their order has changed.
class Rows {
  constructor(body, build, none) {
    Object.assign(this, { body, build, rows: new Map(), none: make("tr", {}, make("td", { class: "none", colspan: 9 }, none)) });
  }
  show(items, key) {
    const before = this.rows;
    this.rows = new Map();
    for (const item of items) {
      const row = before.get(key(item)) ?? this.build(item);
      this.rows.set(key(item), row);
      row.set(item);
    }
    const wanted = items.length ? [...this.rows.values()].map((row) => row.all) : [this.none];
    if (wanted.length !== this.body.children.length || wanted.some((row, i) => row !== this.body.children[i]))
      this.body.replaceChildren(...wanted);
  }
}

// ---- charts

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const kColours = ["--accent", "--second", "--third", "--fourth", "--fifth"];
const charts = [];

class LineChart {
  static step = 1;  // seconds from one point to the next
  constructor(id, text, { most, legend = false } = {}) {
    this.canvas = byId(id);
    this.text = text;
    this.least = most;
    this.chart = new Chart(this.canvas, {
      type: "line",
      data: { datasets: [] },
      options: {
        animation: false, maintainAspectRatio: false, parsing: false, normalized: true,
        interaction: { mode: "index", intersect: false },
        elements: { point: { radius: 0, hoverRadius: 3 }, line: { borderWidth: 1.6 } },
        scales: {
          x: { type: "linear", min: -kPoints, max: 0, border: { display: false }, grid: { display: false },
            ticks: { maxRotation: 0, callback: (at) => (at === 0 ? "now" : at % 60 ? `${Math.round(-at)} s` : `${-at / 60} min`) } },
          y: { min: 0, suggestedMax: most, grid: { drawBorder: false }, ticks: { maxTicksLimit: 4, callback: (value) => text(value) } },
        },
        plugins: {
          legend: { display: legend, position: "bottom", align: "start", labels: { boxWidth: 10, boxHeight: 2 } },
          tooltip: { displayColors: legend, callbacks: {
            title: (all) => (all[0].parsed.x === 0 ? "now" : `${duration(-all[0].parsed.x)} ago`),
            label: (one) => (legend ? `${one.dataset.label}: ` : "") + text(one.parsed.y) } },
        },
      },
    });
    this.paint();
    charts.push(this);
  }
  paint() {
    const { x, y } = this.chart.options.scales;
    x.ticks.color = y.ticks.color = this.chart.options.plugins.legend.labels.color = colour("--quiet");
    y.grid.color = colour("--line");
    this.chart.data.datasets.forEach((set, i) => {
      set.borderColor = colour(kColours[i % kColours.length]);
      set.backgroundColor = colour("--accent-soft");
    });
  }
  // The window grows with what is there; bytes are divided at powers of two.
  scale(all) {
    const { x, y } = this.chart.options.scales, length = Math.max(0, ...all.map((values) => values.length));
    const points = [60, 120, kPoints].find((window) => length <= window);
    x.min = -points * LineChart.step;
    x.ticks.stepSize = (points * LineChart.step) / (points === kPoints ? 5 : 4);
    if (this.text !== bytes) return;
    const most = Math.max(this.least, ...all.flat());
    y.ticks.stepSize = 2 ** Math.ceil(Math.log2(most / 4));
    y.max = Math.ceil(most / y.ticks.stepSize) * y.ticks.stepSize;
  }
  show(series) {  // {name: values}
    const sets = this.chart.data.datasets, names = Object.keys(series);
    const same = names.length === sets.length && names.every((name, i) => sets[i].label === name);
    if (!same) this.chart.data.datasets = names.map((name) => ({ label: name, data: [], fill: names.length === 1 ? "origin" : false }));
    names.forEach((name, i) => {
      const values = series[name];
      this.chart.data.datasets[i].data = values.map((value, at) => ({ x: (at - values.length + 1) * LineChart.step, y: value }));
    });
    if (!same) this.paint();
    this.scale(Object.values(series));
    this.chart.update("none");
    const last = names.map((name) => `${name} ${this.text(series[name].at(-1) ?? 0)}`);
    this.canvas.setAttribute("aria-label", `The last five minutes; now: ${last.join(", ") || "nothing"}`);
  }
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const chart of charts) {
    chart.paint();
    chart.chart.update("none");
  }
});
