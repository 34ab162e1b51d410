/* The bodies of panels: tiles, dials, tables, and charts with their legends. */

const SVG = "http://www.w3.org/2000/svg";

/* Nothing is ever made from text that could be markup. */
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function shape(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function swatch(colour) {
  const made = element("span", { class: "swatch", "aria-hidden": "true" });
  const [ink, gap] = dashOf(colour);
  if (ink) made.style.width = "16px";
  made.style.background = ink
    ? `repeating-linear-gradient(90deg, ${graphicColour(colour)} 0 ${ink}px, transparent ${ink}px ${ink + gap}px)`
    : graphicColour(colour);
  return made;
}

function writeMoment(ms) {
  return new Date(ms).toLocaleString("en-GB", {
    day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit",
    hourCycle: "h23",
  });
}

function writeMark(mark) {
  /* A tag is often a label that title or text tell already. */
  const told = `${mark.title} ${mark.text}`.toLowerCase();
  const tags = mark.tags.filter((tag) => !told.includes(tag.toLowerCase()));
  return [mark.title, mark.text, tags.join(", ")].filter(Boolean).join(" · ");
}

function fillBody(body, panel, dashboard, state) {
  if (panel.error) {
    body.replaceChildren(element("p", { class: "error", role: "alert" }, `Query failed: ${panel.error}`));
    return null;
  }
  const draw = { timeseries: fillChart, stat: fillTiles, gauge: fillTiles, table: fillTable }[panel.kind];
  return draw(body, panel, dashboard, state);
}

function showNothing(body, panel, ...below) {
  body.replaceChildren(element("p", { class: "nothing" }, panel.nothing), ...below);
}

function fillTiles(body, panel, dashboard) {
  const links = panel.leads.filter(isReachable).map((link) => makeLink(link, dashboard));
  const leads = links.length ? [element("p", { class: "leads" }, ...links)] : [];
  if (!panel.tiles.length) return showNothing(body, panel, ...leads);
  const make = panel.kind === "gauge" ? makeDial : makeTile;
  const tiles = panel.tiles.map((tile) => make(tile, panel));
  body.replaceChildren(element("div", { class: `tiles ${panel.kind}` }, ...tiles), ...leads);
  return null;
}

function writeAge(tile) {
  return tile.seen_ms === null ? [] : [element("p", { class: "name" }, `none since ${writeMoment(tile.seen_ms)}`)];
}

function makeTile(tile, panel) {
  const mode = panel.options.colorMode || "value";
  const value = element("p", { class: "value" }, tile.text);
  value.style.setProperty("--length", Math.max(tile.text.length, 4));
  const made = element("div", { class: "tile" }, ...(tile.named ? [element("p", { class: "name" }, tile.name)] : []), value, ...writeAge(tile));
  if (mode === "background" && isMarked(tile.colour)) {
    const behind = graphicColour(tile.colour);
    made.style.backgroundColor = behind;
    made.style.color = inkOn(behind);
    made.classList.add("painted");
  } else if (mode === "value") {
    value.style.color = inkColour(tile.colour);
  }
  if (tile.curve.some((each) => each !== null)) made.append(drawSpark(tile));
  return made;
}

function drawSpark(tile) {
  const values = tile.curve;
  const present = values.filter((each) => each !== null);
  const low = Math.min(...present), high = Math.max(...present);
  const x = (at) => (values.length > 1 ? (at / (values.length - 1)) * 300 : 150);
  const y = (value) => (high > low ? 38 - ((value - low) / (high - low)) * 34 : 21);
  const runs = [];
  values.forEach((value, at) => {
    if (value === null) return;
    if (at === 0 || values[at - 1] === null) runs.push([]);
    runs[runs.length - 1].push([x(at), y(value)]);
  });
  const colour = graphicColour(isMarked(tile.colour) ? tile.colour : "palette:0");
  const line = runs.map((run) => "M" + (run.length > 1 ? run : [run[0], [run[0][0] + 1, run[0][1]]]).map((point) => point.join(" ")).join("L")).join("");
  const area = runs.filter((run) => run.length > 1).map((run) => `M${run[0][0]} 40L${run.map((point) => point.join(" ")).join("L")}L${run[run.length - 1][0]} 40Z`).join("");
  return shape("svg", { class: "spark", viewBox: "0 0 300 40", preserveAspectRatio: "none", "aria-hidden": "true" },
    shape("path", { d: area || "M0 0", fill: withOpacity(colour, 0.18) }),
    shape("path", { d: line, fill: "none", stroke: colour, "stroke-width": 1.5, "vector-effect": "non-scaling-stroke" }));
}

function arcPath(radius, start, end) {
  const point = (share) => {
    const angle = Math.PI * (1.1 - 1.2 * share);
    return `${(100 + radius * Math.cos(angle)).toFixed(2)} ${(96 - radius * Math.sin(angle)).toFixed(2)}`;
  };
  return `M${point(start)}A${radius} ${radius} 0 ${(end - start) * 1.2 > 1 ? 1 : 0} 1 ${point(end)}`;
}

function makeDial(tile) {
  const dial = tile.dial;
  const colour = graphicColour(isMarked(tile.colour) ? tile.colour : "palette:0");
  const ring = dial.arcs.filter((arc) => isMarked(arc.colour)).map((arc) => shape("path", {
    d: arcPath(92, arc.start, arc.end), fill: "none", stroke: graphicColour(arc.colour), "stroke-width": 5,
  }));
  const drawing = shape("svg", { class: "dial", viewBox: "0 0 200 132", role: "img", "aria-label": `${tile.name}: ${tile.text} on a dial from ${dial.least} to ${dial.most}` },
    shape("path", { class: "groove", d: arcPath(74, 0, 1), fill: "none", "stroke-width": 22 }),
    ...(dial.share > 0 ? [shape("path", { d: arcPath(74, 0, dial.share), fill: "none", stroke: colour, "stroke-width": 22 })] : []),
    ...ring);
  const value = element("p", { class: "value" }, tile.text);
  value.style.setProperty("--length", Math.max(tile.text.length, 6));
  value.style.color = inkColour(tile.colour);
  return element("div", { class: "tile" }, drawing, element("div", { class: "reading" }, value,
    element("p", { class: "name" }, tile.name), element("p", { class: "ends" }, `${dial.least} to ${dial.most}`), ...writeAge(tile)));
}

function fillTable(body, panel, dashboard, state) {
  const table = panel.table;
  if (!table.rows.length) return showNothing(body, panel);
  const sort = state.sort || { by: table.sorted_by, down: table.descending };
  const rows = state.sort ? sortRows(table, sort) : table.rows;
  const head = table.columns.map((column, at) => {
    const button = element("button", { type: "button" }, column.name, element("span", { class: "arrow", "aria-hidden": "true" }, at === sort.by ? (sort.down ? "▼" : "▲") : ""));
    button.addEventListener("click", () => {
      state.sort = { by: at, down: at === sort.by ? !sort.down : column.numeric };
      fillTable(body, panel, dashboard, state);
      body.querySelectorAll("th button")[at].focus();
    });
    return element("th", { scope: "col", class: column.numeric ? "number" : null, "aria-sort": at === sort.by ? (sort.down ? "descending" : "ascending") : null }, button);
  });
  const lines = cutStill(rows.map((row) => element("tr", {}, ...row.map((cell, at) => makeCell(cell, table.columns[at], dashboard)))), table.columns.length);
  const scroller = element("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": panel.title },
    element("table", { class: "rows" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...lines)));
  body.replaceChildren(scroller);
  fitTable(scroller);
  tableWatcher.observe(scroller);
  return null;
}

/* A table too broad for its panel would hide its last columns: its rows become lists of their cells. */
function fitTable(scroller) {
  const width = String(scroller.clientWidth);
  if (scroller.dataset.fitted === width) return;
  scroller.dataset.fitted = width;
  scroller.classList.remove("stacked");
  scroller.classList.toggle("stacked", scroller.scrollWidth > scroller.clientWidth);
}

const tableWatcher = new ResizeObserver((entries) => entries.forEach(({ target }) => fitTable(target)));

/* Where nobody can scroll, say what is left out. */
function cutStill(lines, columns) {
  const more = lines.length - (page.lines ?? Infinity);
  if (more <= 0) return lines;
  return [...lines.slice(0, page.lines), element("tr", {}, element("td", { colspan: columns }, `and ${more} more`))];
}

function sortRows(table, { by, down }) {
  const order = (cell) => (cell.order === null ? -Infinity : cell.order);
  const sorted = [...table.rows].sort((one, other) => {
    const [a, b] = [order(one[by]), order(other[by])];
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  });
  return down ? sorted.reverse() : sorted;
}

function makeCell(cell, column, dashboard) {
  const link = cell.links.find(isReachable);
  const made = element("td", { class: column.numeric ? "number" : null, "data-column": column.name }, link ? makeLink({ ...link, title: cell.text }, dashboard, link.title) : cell.text);
  if (!isMarked(cell.colour)) return made;
  if (column.paint === "color-background") {
    const behind = graphicColour(cell.colour);
    made.style.backgroundColor = behind;
    made.style.color = inkOn(behind);
    made.classList.add("painted");
  } else if (column.paint === "color-text") {
    made.style.color = inkColour(cell.colour);
    made.classList.add("marked");
  }
  return made;
}

/* Other dashboards can be gone to where they are here: on this page, with the choices with which it
   was made, or on its server with any. */
function isReachable(link) {
  if (!link.url.startsWith("#")) return Boolean(link.url);
  const [uid, query = ""] = link.url.slice(1).split("?");
  if (page.live) return page.live.boards.some((each) => each.uid === uid);
  const target = page.dashboards.find((each) => each.uid === uid);
  const asked = new URLSearchParams(query);
  if (!target || (target === shown && !asked.has("viewPanel"))) return false;
  return target.variables.every(({ name, value }) => (asked.get(`var-${name}`) ?? value) === value);
}

function makeLink(link, dashboard, about) {
  const inside = link.url.startsWith("#");
  const made = element("a", { href: inside ? dashboardAddress(link.url.slice(1)) : link.url, title: about, ...(inside ? {} : { target: "_blank", rel: "noreferrer noopener" }) }, link.title);
  if (!inside) made.append(element("span", { class: "away", "aria-hidden": "true" }, "↗"));
  return made;
}

function fillChart(body, panel, dashboard, state) {
  if (!panel.chart.lines.some((line) => line.values.some((value) => value !== null))) {
    return showNothing(body, panel);
  }
  const names = panel.chart.lines.map((line) => line.name).join(", ");
  const host = element("div", { class: "plot", tabindex: "0", role: "img", "aria-label": `${panel.title}, lines over time: ${names}. Arrow keys read values.` });
  const legend = makeLegend(panel, state);
  body.replaceChildren(host, ...(legend ? [legend.box] : []));
  const plot = drawChart(host, panel, dashboard, state);
  if (legend) {
    legend.buttons.forEach((button, at) => button.addEventListener("click", () => {
      const name = panel.chart.lines[at].name;
      const show = state.hidden.delete(name) || !state.hidden.add(name);
      button.setAttribute("aria-pressed", String(show));
      plot.setSeries(at + 1, { show });
    }));
  }
  return { host, plot };
}

function makeLegend(panel, state) {
  const { legend = {} } = panel.options;
  if (legend.showLegend === false) return null;
  const { lines, calcs } = panel.chart;
  const buttons = lines.map((line) => element("button", { type: "button", "aria-pressed": String(!state.hidden.has(line.name)), title: "Show or hide" }, swatch(line.colour), line.name));
  if (legend.displayMode !== "table" && !calcs.length) {
    const more = lines.length - (page.lines ?? Infinity);
    const shown = more > 0 ? [...buttons.slice(0, page.lines), `and ${more} more`] : buttons;
    return { buttons, box: element("div", { class: "legend list" }, ...shown) };
  }
  const heads = ["Name", ...calcs].map((name, at) => element("th", { scope: "col", class: at ? "number" : null }, name));
  const rows = lines.map((line, at) => element("tr", {}, element("td", {}, buttons[at]), ...line.legend.map((text) => element("td", { class: "number" }, text))));
  return { buttons, box: element("div", { class: "legend", tabindex: "0", role: "region", "aria-label": `Legend of ${panel.title}` },
    element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...cutStill(rows, calcs.length + 1)))) };
}
