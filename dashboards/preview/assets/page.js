/* The page: which dashboard is shown, its head, its panels on their grid, and fresh data. */

const page = JSON.parse(document.getElementById("data").textContent);
document.documentElement.classList.toggle("still", page.lines !== null);
const board = document.getElementById("board");
const states = new Map();
let shown = null;
let drawn = [];

const watcher = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const found = drawn.find((each) => each.host === target);
    const { clientWidth: width, clientHeight: height } = target;
    if (found && width && height && (found.plot.width !== width || found.plot.height !== height)) {
      found.plot.setSize({ width, height });
    }
  }
});

/* As along Grafana's links, range and choices stay where the other dashboard knows them. A link that
   names the instants of the range shown means the range, which may go on moving. */
function dashboardAddress(target) {
  const [uid, query = ""] = target.split("?");
  const panel = new URLSearchParams(query).get("viewPanel");
  if (!page.live) return panel ? `#${uid}/${panel}` : `#${uid}`;
  const known = new Set(page.live.boards.find((each) => each.uid === uid)?.variables);
  const asked = new Map();
  const take = ([key, value]) => {
    const name = key.replace(/^var-/, "");
    if (key === "from" || key === "to") asked.set(key, value);
    else if (known.has(name)) asked.set(`var-${name}`, value);
  };
  const shownNow = { from: String(shown.start_ms), to: String(shown.end_ms) };
  [...new URLSearchParams(location.search)].forEach(take);
  [...new URLSearchParams(query)].filter(([key, value]) => shownNow[key] !== value).forEach(take);
  const choices = asked.size ? `?${new URLSearchParams([...asked])}` : "";
  return `/${uid}${choices}${panel ? `#${panel}` : ""}`;
}

function stateOf(key) {
  const name = `${shown.uid}/${key}`;
  if (!states.has(name)) states.set(name, { hidden: new Set(), sort: null });
  return states.get(name);
}

/* The address may name a dashboard of this page, a panel, or both; neither has a character that an
   address writes otherwise. */
function visit() {
  showDashboard();
  document.getElementById(location.hash.slice(1).split("/").at(-1))?.scrollIntoView();
}

function showDashboard() {
  const asked = location.hash.slice(1).split("/")[0];
  shown = page.dashboards.find((each) => each.uid === asked) || page.dashboards[0];
  document.title = shown.title;
  fillHead();
  layOut();
}

function fillHead() {
  const head = document.getElementById("head");
  const others = page.live ? page.live.boards : page.dashboards.map(({ uid, title }) => ({ uid, title }));
  const nav = others.length > 1 ? [element("nav", { "aria-label": "Dashboards" }, ...others.map(({ uid, title }) =>
    element("a", { href: dashboardAddress(uid), "aria-current": uid === shown.uid ? "page" : null }, title)))] : [];
  const links = shown.links.filter(isReachable).map((link) => makeLink(link, shown));
  const above = new Set(nav.flatMap((each) => [...each.children].map((link) => link.getAttribute("href"))));
  const chips = shown.variables.filter((each) => !each.hidden && !page.live).map((each) => element("span", { class: "chip" }, `${each.label}: `, element("strong", {}, each.value || "any")));
  head.replaceChildren(
    ...nav,
    element("div", { class: "top" }, element("h1", {}, shown.title), makeToggle()),
    ...(shown.description ? [element("p", { class: "about" }, shown.description)] : []),
    element("div", { class: "bar" }, ...(page.live ? [makeChooser()] : []),
      element("span", { class: "chip", id: "range" }, writeRange()), ...chips, ...links.filter((link) => !above.has(link.getAttribute("href")))),
    element("div", { id: "told" }),
  );
  fillTold();
}

/* What fresh data may change in the head; what somebody has opened there stays open. */
function fillTold() {
  const place = document.getElementById("told");
  const before = place.querySelector("details");
  const [open, focused, down] = [before?.open, before?.contains(document.activeElement), before?.querySelector("ul").scrollTop];
  place.replaceChildren(
    ...(shown.hint ? [element("p", { class: "hint", role: "status" }, shown.hint)] : []),
    ...shown.notes.map((note) => element("p", { class: "error", role: "alert" }, note)),
    ...(shown.marks.length ? [makeEvents()] : []),
  );
  const events = place.querySelector("details");
  if (!events || !before) return;
  events.open = open;
  events.querySelector("ul").scrollTop = down;
  if (focused) events.querySelector("summary").focus();
}

function writeRange() {
  return `${writeMoment(shown.start_ms)} to ${writeMoment(shown.end_ms)}`;
}

function makeEvents() {
  const rows = [...shown.marks].reverse().map((mark) => element("li", {}, swatch(mark.colour),
    element("span", { class: "when" }, mark.end_ms > mark.start_ms ? `${writeMoment(mark.start_ms)} to ${writeMoment(mark.end_ms)}` : writeMoment(mark.start_ms)), element("span", {}, writeMark(mark))));
  const count = `${rows.length} event${rows.length === 1 ? "" : "s"} in this range`;
  return element("details", { class: "events" }, element("summary", {}, count), element("ul", {}, ...rows));
}

/* A plain form: choosing is loading the page with other parameters. */
function makeChooser() {
  /* Or Back would show the last choice beside the data of the one before. */
  const form = element("form", { method: "get", class: "chooser", autocomplete: "off" });
  const choose = (label, name, options, value) => {
    const words = name === "from" && /^\d+$/.test(value) ? `since ${writeMoment(Number(value))}` : value;
    const all = options.some(([each]) => each === value) ? options : [[value, words], ...options];
    const select = element("select", { name }, ...all.map(([each, text]) => element("option", { value: each }, text)));
    select.value = value;
    select.addEventListener("change", () => {
      /* The ranges that are offered last until now. */
      if (name === "from") form.querySelector("[name=to]")?.remove();
      form.submit();
    });
    form.append(element("label", {}, label, select));
  };
  choose("Range", "from", page.live.ranges, shown.since);
  for (const each of shown.variables.filter((variable) => !variable.hidden)) {
    if (each.options.length) choose(each.label, `var-${each.name}`, each.options.map((value) => [value, value]), each.value);
    else form.append(element("label", {}, each.label, element("input", { name: `var-${each.name}`, value: each.value })));
  }
  if (shown.until !== "now") form.append(element("input", { type: "hidden", name: "to", value: shown.until }));
  return form;
}

/* A theme that was chosen goes along to the next page; where nothing may be kept, it does not. */
function keepTheme(theme) {
  try {
    localStorage.setItem("theme", theme);
  } catch { /* A browser may forbid it. */ }
}

function recallTheme() {
  try {
    const kept = page.live && localStorage.getItem("theme");
    if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
  } catch { /* As above. */ }
}

function makeToggle() {
  const write = () => `Theme: ${currentTheme()}`;
  const button = element("button", { type: "button", id: "theme" }, write());
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = currentTheme() === "dark" ? "light" : "dark";
    keepTheme(document.documentElement.dataset.theme);
    button.textContent = write();
    redraw();
  });
  return button;
}

function layOut() {
  const hasRows = shown.panels.some((panel) => panel.kind === "row");
  board.replaceChildren(...shown.panels.map((panel) => makePanel(panel, hasRows ? "h3" : "h2")));
  redraw();
}

function makePanel(panel, level) {
  const { x, y, w, h } = panel.place;
  const isRow = panel.kind === "row";
  const made = isRow
    ? element("div", { class: "heading", id: panel.key }, element("h2", {}, panel.title))
    : element("section", { class: `panel ${panel.kind}`, id: panel.key, "data-panel": panel.kind, "aria-labelledby": `${panel.key}-title` }, makeHeader(panel, level), element("div", { class: "body" }));
  made.style.setProperty("--column", x + 1);
  made.style.setProperty("--row", y + 1);
  made.style.setProperty("--width", w);
  made.style.setProperty("--height", h);
  made.classList.toggle("small", w <= 6);
  made.classList.toggle("half", w > 6 && w <= 12);
  made.classList.toggle("tall", h > 5);
  return made;
}

function makeHeader(panel, level) {
  const title = element(level, { id: `${panel.key}-title` }, panel.title);
  const outside = panel.links.filter(isReachable);
  const quick = outside.slice(0, 1).map((link) => makeLink({ ...link, title: link.title.split(":")[0] }, shown, link.title));
  const about = [
    ...(panel.description ? [element("p", {}, panel.description)] : []),
    ...outside.map((link) => element("p", {}, makeLink(link, shown))),
    ...panel.links.filter((link) => !isReachable(link)).map((link) => element("p", {}, link.instead)),
  ];
  const header = element("header", {}, title, ...quick);
  if (!about.length) return header;
  const text = element("div", { class: "described", id: `${panel.key}-about` }, ...about);
  text.hidden = true;
  const button = element("button", { type: "button", class: "info", "aria-expanded": "false", "aria-controls": text.id, "aria-label": `About ${panel.title}`, title: panel.description }, "i");
  button.addEventListener("click", () => {
    text.hidden = !text.hidden;
    button.setAttribute("aria-expanded", String(!text.hidden));
  });
  header.append(button, text);
  return header;
}

function redraw() {
  watcher.disconnect();
  drawn.forEach(({ plot }) => plot.destroy());
  drawn = [];
  tooltip.hidden = true;
  delete document.documentElement.dataset.ready;
  for (const panel of shown.panels) {
    if (panel.kind !== "row") drawPanel(panel);
  }
  // uPlot draws in microtasks; the frame after them shows every line.
  requestAnimationFrame(() => {
    document.documentElement.dataset.ready = String(Math.round(performance.now() * 10) / 10);
  });
}

function drawPanel(panel) {
  const section = document.getElementById(panel.key);
  section.classList.toggle("failed", Boolean(panel.error));
  const result = fillBody(section.querySelector(".body"), panel, shown, stateOf(panel.key));
  if (result) {
    drawn.push(result);
    watcher.observe(result.host);
  }
}

async function refresh() {
  const status = document.getElementById("status");
  try {
    const answer = await fetch(`/${shown.uid}/data${location.search}`);
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.error);
    page.dashboards = [body];
    const before = JSON.stringify(shown.panels.map(({ key, place }) => [key, place]));
    shown = body;
    status.hidden = true;
    document.getElementById("range").textContent = writeRange();
    fillTold();
    if (before !== JSON.stringify(shown.panels.map(({ key, place }) => [key, place]))) layOut();
    else redraw();
  } catch (failure) {
    status.hidden = false;
    status.textContent = `Not refreshed since ${writeMoment(shown.end_ms)}: ${failure.message}`;
  }
}

/* What somebody reads just now is not taken away under pointer or keyboard. */
function isBusy() {
  const focused = document.activeElement;
  const typing = board.contains(focused) && focused.matches(":focus-visible");
  return document.hidden || typing || drawn.some(({ plot }) => plot.pointed);
}

recallTheme();
document.body.append(tooltip);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showDashboard);
addEventListener("hashchange", visit);
addEventListener("scroll", () => { tooltip.hidden = true; }, { passive: true });
visit();
if (page.live) setInterval(() => { if (!isBusy()) refresh(); }, page.live.refresh_s * 1000);
