// Draws the page's charts with Vega from the numbers embedded in it. Each takes the place of its static picture, which
// stays where there is no script. A chart is groups of panels; under each panel stand its curves' values in one layer.
"use strict";

const HEIGHT = 176; // pixels, as in the style sheet
const MARKS = 6; // about so many symbols stand on a curve
const LOOKS = {
  q: { shape: "circle", sign: "●" },
  k: { shape: "square", sign: "■" },
  v: { shape: "triangle-up", sign: "▲" },
  o: { shape: "diamond", sign: "◆" },
  gate: { shape: "triangle-down", sign: "▼" },
  up: { shape: "cross", sign: "✚" },
  down: { shape: "stroke", sign: "▬" },
  correct: { shape: "circle", sign: "●" },
  irrelevant: { shape: "square", sign: "■", dash: [6, 3] },
  incorrect: { shape: "triangle-up", sign: "▲", dash: [2, 2] },
  one: { shape: "circle", sign: "●", dash: [6, 3] },
  other: { shape: "square", sign: "■" },
  ratio: { shape: "circle", sign: "●" },
};

const panels = new Map(); // by the element of its plot
const seen = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach(draw), {
  rootMargin: "300px",
});
const resized = new ResizeObserver((entries) => entries.forEach(fit));

function start() {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  for (const [id, chart] of Object.entries(charts)) setUp(document.getElementById(id), chart);
  // The charts are not as tall as the pictures, so what the address names has moved.
  document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

function setUp(figure, chart) {
  const form = figure.querySelector("form");
  const stage = figure.querySelector(".stage");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => (event.target.name === "layer" ? move(form) : arrange(form, stage, chart)));
  form.hidden = stage.hidden = false;
  figure.querySelector(".sheet").hidden = true;
  arrange(form, stage, chart);
}

function arrange(form, stage, chart) {
  stage.querySelectorAll(".plot").forEach(remove);
  const state = new FormData(form);
  const curves = chart.curves.filter((curve) => isChosen(curve, chart, state));
  const groups = groupBy(curves, "group");
  const columns = Math.max(...[...groups.values()].map((members) => groupBy(members, "panel").size));
  stage.style.setProperty("--columns", columns);
  const parts = [...groups].map(([title, members]) => {
    const domain = domainOf(chart.one_scale ? curves : members, state.get("scale"), chart.reference);
    const grid = element("div", { class: "grid" });
    for (const [name, lines] of groupBy(members, "panel")) grid.append(panelOf(form, chart, name, lines, domain));
    return element("div", { class: "group" }, element("h4", {}, `${title} `, element("span", {}, chart.label)), grid);
  });
  stage.replaceChildren(...(parts.length ? parts : [element("p", { class: "soft" }, "Nothing is chosen.")]));
  move(form);
}

function isChosen(curve, chart, state) {
  return chart.toggles.every(({ column }) => state.getAll(column).includes(curve.of[column]));
}

function panelOf(form, chart, name, curves, domain) {
  const n = [...new Set(curves.map((curve) => curve.n))].join(" and ");
  const title = `${name}, n = ${n}`;
  const description = `${title}. ${curves.map((curve) => inWords(curve, chart.layers)).join(" ")}`;
  const plot = element("div", { class: "plot", role: "img", "aria-label": description });
  const rows = curves.map((curve) => rowOf(curve));
  const caption = element("caption");
  const heads = ["curve", "mean", "interval"].map((text) => element("th", { scope: "col" }, text));
  const table = element("table", { class: "values" }, caption);
  table.append(element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows));
  const scale = new FormData(form).get("scale");
  panels.set(plot, { form, chart, curves, domain, scale, caption, rows });
  plot.addEventListener("pointermove", point);
  plot.addEventListener("pointerdown", point);
  seen.observe(plot);
  resized.observe(plot);
  return element("div", { class: "panel" }, element("h5", {}, title), plot, table);
}

function inWords({ name, value }, layers) {
  const there = value.filter((number) => number !== null);
  const [least, most] = [Math.min(...there), Math.max(...there)];
  const at = (number) => `${text(number)} in layer ${layers[value.indexOf(number)]}`;
  return `${name}: greatest ${at(most)}, smallest ${at(least)}.`;
}

function rowOf({ line, name }) {
  const sign = element("span", { class: "sign", "aria-hidden": "true", style: `color: var(--line-${line})` });
  sign.append(LOOKS[line].sign);
  return element("tr", {}, element("th", { scope: "row" }, sign, ` ${name}`), element("td"), element("td"));
}

function draw({ target }) {
  const panel = panels.get(target);
  seen.unobserve(target);
  if (!panel || panel.view) return;
  const inner = target.appendChild(element("div", { "aria-hidden": "true" })); // the plot itself has a description
  panel.view = new vega.View(vega.parse(specification(panel)), { renderer: "svg", container: inner, hover: false });
  panel.view.width(target.clientWidth).run();
}

function fit({ target }) {
  const view = panels.get(target)?.view;
  if (view && target.clientWidth && view.width() !== target.clientWidth) view.width(target.clientWidth).run();
}

function remove(plot) {
  seen.unobserve(plot);
  resized.unobserve(plot);
  panels.get(plot).view?.finalize();
  panels.delete(plot);
}

// The layer under the pointer becomes that of the whole chart.
function point(event) {
  const { view, form, chart } = panels.get(event.currentTarget);
  if (!view) return;
  const x = event.clientX - event.currentTarget.getBoundingClientRect().left - view.origin()[0];
  const nearest = Math.round(view.scale("x").invert(x));
  const layer = Math.min(Math.max(nearest, chart.layers[0]), chart.layers.at(-1));
  if (layer === Number(form.elements.layer.value)) return;
  form.elements.layer.value = layer;
  move(form);
}

function move(form) {
  const layer = Number(form.elements.layer.value);
  form.elements.layer.setAttribute("aria-valuetext", `layer ${layer}`);
  form.querySelector("output").value = layer;
  for (const panel of panels.values()) if (panel.form === form) tell(panel, layer);
}

function tell({ view, chart, caption, curves, rows }, layer) {
  const place = chart.layers.indexOf(layer);
  caption.textContent = `layer ${layer}: mean and interval`;
  curves.forEach(({ value, low, high }, row) => {
    const [, mean, interval] = rows[row].children;
    mean.textContent = text(value[place]);
    interval.textContent = low[place] === null ? "–" : `${text(low[place])} to ${text(high[place])}`;
  });
  view?.signal("layer", layer).run();
}

function specification({ form, chart, curves, domain, scale }) {
  const { layers } = chart;
  const [colour, shape, dash] = ["colour", "shape", "dash"].map((field) => ({ field }));
  const x = { scale: "x", field: "layer" };
  const y = (field) => ({ scale: "y", field });
  const there = (field) => ({ signal: `isValid(datum.${field})` });
  const axis = { labelColor: "currentColor", titleColor: "currentColor", titleFontWeight: "normal", labelOverlap: true };
  const area = { x, y: y("low"), y2: y("high"), fill: colour, fillOpacity: { value: 0.2 }, defined: there("low") };
  const line = { x, y: y("value"), stroke: colour, strokeDash: dash, strokeWidth: { value: 1.75 }, defined: there("value") };
  const size = { signal: "datum.layer === layer ? 70 : 32" };
  const across = { x: { value: 0 }, x2: { signal: "width" }, y: { scale: "y", value: chart.reference } };
  const rule = { x: { scale: "x", signal: "layer" }, y: { value: 0 }, y2: { signal: "height" } };
  return {
    height: HEIGHT,
    padding: 4,
    autosize: { type: "fit", contains: "padding" },
    signals: [{ name: "layer", value: Number(form.elements.layer.value) }],
    data: [
      { name: "points", values: curves.flatMap((curve, place) => pointsOf(curve, place, layers)) },
      {
        name: "marked",
        source: "points",
        transform: [{ type: "filter", expr: "isValid(datum.value) && (datum.marked || datum.layer === layer)" }],
      },
    ],
    scales: [
      { name: "x", domain: [layers[0], layers.at(-1)], range: "width" },
      { name: "y", type: scale, domain, range: "height", zero: false, clamp: true },
    ],
    axes: [
      { ...axis, orient: "bottom", scale: "x", title: "layer", tickMinStep: 1, tickCount: 6, format: "d" },
      { ...axis, orient: "left", scale: "y", ...ticksOf(domain, scale), format: "~g", grid: true, gridColor: "var(--line)" },
    ],
    marks: [
      ...(chart.reference === null ? [] : [{ type: "rule", encode: { update: { ...across, stroke: { value: "currentColor" } } } }]),
      { type: "rule", encode: { update: { ...rule, stroke: { value: "currentColor" }, strokeOpacity: { value: 0.45 } } } },
      {
        type: "group",
        from: { facet: { name: "curve", data: "points", groupby: "line" } },
        marks: [
          { type: "area", from: { data: "curve" }, encode: { update: area } },
          { type: "line", from: { data: "curve" }, encode: { update: line } },
        ],
      },
      { type: "symbol", from: { data: "marked" }, encode: { update: { x, y: y("value"), shape, size, fill: colour } } },
    ],
    config: { axis: { domainColor: "currentColor", tickColor: "currentColor", labelFontSize: 11, titleFontSize: 11 } },
  };
}

// Symbols of a panel's curves stand at different layers, so that none hides another.
function pointsOf({ line, value, low, high }, place, layers) {
  const every = Math.max(1, Math.floor(layers.length / MARKS));
  const { shape, dash = [] } = LOOKS[line];
  const look = { line, shape, dash, colour: `var(--line-${line})` };
  const first = Math.floor((place * every) / 4);
  return layers.map((layer, at) => ({
    ...look,
    ...{ layer, value: value[at], low: low[at], high: high[at], marked: at % every === first },
  }));
}

// From 0; or logarithmic, from the smallest mean. Around a reference, with all intervals, where there is one.
function domainOf(curves, scale, reference) {
  const numbers = (column) => curves.flatMap((curve) => curve[column]).filter((number) => number !== null);
  if (reference !== null) {
    const all = [reference, ...["value", "low", "high"].flatMap(numbers)];
    const [least, most] = [Math.min(...all), Math.max(...all)];
    const space = 0.06 * (most - least) || 0.06; // the same on both sides: all is 1
    return scale === "log" ? [least / 1.05, most * 1.05] : [least - space, most + space];
  }
  const top = Math.max(...numbers("value"), ...numbers("high"), 1e-12);
  if (scale === "linear") return [0, top * 1.06];
  const positive = numbers("value").filter((number) => number > 0);
  return [Math.min(...positive, top) / 1.3, top * 1.15];
}

function ticksOf([bottom, top], scale) {
  if (scale === "linear") return { tickCount: 5 };
  const powers = Array.from({ length: 40 }, (_, place) => 10 ** (place - 20));
  return { values: powers.flatMap((power) => [power, 2 * power, 5 * power]).filter((tick) => tick >= bottom && tick <= top) };
}

function text(number) {
  if (number === null) return "–";
  return Math.abs(number) >= 1000 ? number.toFixed(0) : number.toPrecision(3);
}

function groupBy(items, field) {
  const groups = new Map();
  for (const item of items) groups.set(item[field], [...(groups.get(item[field]) ?? []), item]);
  return groups;
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

start();
