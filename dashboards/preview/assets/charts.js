/* Time series panels on uPlot: lines, bars and stacks, thresholds, marks, a tooltip for all. */

const FONT = `12px ${getComputedStyle(document.documentElement).fontFamily}`;
const SECOND_STEPS = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600,
  900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 432000, 864000,
];
const BYTE_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);

const tooltip = element("div", { class: "tooltip", role: "status" });
tooltip.hidden = true;

function drawChart(host, panel, dashboard, state) {
  const theme = currentTheme();
  const chart = panel.chart;
  const count = chart.lines.length ? chart.lines[0].values.length : 0;
  const times = Array.from({ length: count }, (_, at) => (chart.start_ms + at * chart.step_ms) / 1000);
  const [data, bands] = stackLines(chart, theme);
  const narrow = host.clientWidth < 480;
  // What has a height has to stand on the ground.
  const grows = chart.lines.some((line) => line.style === "bars" || line.stacked);
  const options = {
    width: host.clientWidth,
    height: host.clientHeight,
    padding: [10, chart.right ? 0 : 16, 0, 0],
    legend: { show: false },
    cursor: {
      drag: { x: false, y: false },
      sync: dashboard.crosshair ? { key: dashboard.uid, setSeries: false } : undefined,
      points: { size: 7 },
    },
    scales: {
      x: { range: () => [dashboard.start_ms / 1000, dashboard.end_ms / 1000] },
      y: { range: (_, low, high) => spread(low, high, chart.left, grows) },
      ...(chart.right ? { y2: { range: (_, low, high) => spread(low, high, chart.right, false) } } : {}),
    },
    axes: [
      { stroke: MUTED[theme], font: FONT, grid: { stroke: FAINT[theme], width: 1 }, ticks: { show: false }, size: 26, space: narrow ? 64 : 80, values: writeTimes },
      describeAxis(chart.left, "y", theme, narrow),
      ...(chart.right ? [describeAxis(chart.right, "y2", theme, narrow)] : []),
    ],
    series: [{}, ...chart.lines.map((line) => describeLine(line, theme, state))],
    bands,
    hooks: {
      drawAxes: [(plot) => fillThresholds(plot, chart, theme)],
      draw: [(plot) => lineThresholds(plot, chart, theme), (plot) => drawMarks(plot, dashboard, theme)],
      setCursor: [(plot) => pointAt(plot, panel, dashboard)],
    },
  };
  const plot = new uPlot(options, [times, ...data], host);
  plot.over.addEventListener("mouseenter", () => { plot.pointed = true; });
  plot.over.addEventListener("mouseleave", () => { plot.pointed = false; tooltip.hidden = true; });
  takeKeys(host, plot);
  return plot;
}

/* Stacked lines stand on each other; bands keep their areas apart. */
function stackLines(chart) {
  const floor = [];
  const bands = [];
  let below = 0;
  const data = chart.lines.map((line, index) => {
    if (!line.stacked) return line.values;
    if (below) bands.push({ series: [index + 1, below] });
    below = index + 1;
    return line.values.map((value, at) => {
      if (value === null) return null;
      floor[at] = (floor[at] || 0) + value;
      return floor[at];
    });
  });
  return [data, bands];
}

function describeLine(line, theme, state) {
  const colour = graphicColour(line.colour, theme);
  const bars = line.style === "bars";
  const fill = line.stacked ? Math.max(line.fill, 25) : line.fill;
  return {
    label: line.name,
    scale: line.right ? "y2" : "y",
    stroke: colour,
    width: bars ? 0 : line.width,
    fill: bars ? withOpacity(colour, 0.85) : fill ? withOpacity(colour, fill / 100) : undefined,
    paths: bars ? uPlot.paths.bars({ size: [0.8, 48] }) : undefined,
    show: !state.hidden.has(line.name),
    dash: bars ? undefined : dashOf(line.colour),
    points: { show: !bars, filter: findLonely, size: 5, fill: colour, width: 0 },
  };
}

/* A point between two gaps has no line to lie on, so it is drawn as a dot. */
function findLonely(plot, series) {
  const values = plot.data[series];
  const isGap = (at) => (values[at] ?? null) === null;
  return values.flatMap((_, at) => (!isGap(at) && isGap(at - 1) && isGap(at + 1) ? [at] : []));
}

function spread(low, high, axis, grounded) {
  // A little more than what it reaches, or a line there would lie on the edge.
  const reached = axis.reaches === null ? -Infinity : axis.reaches * 1.04;
  if (low === null || high === null) return [axis.least ?? 0, axis.most ?? Math.max((axis.least ?? 0) + 1, reached)];
  const room = (high - low || Math.abs(high) || 1) * 0.08;
  const bottom = axis.least ?? (low >= 0 && (grounded || low < high - low) ? 0 : low - room);
  const top = axis.most ?? Math.max(high || low ? high + room : 1, reached);
  return bottom < top ? [bottom, top] : [bottom, bottom + 1];
}

function describeAxis(axis, scale, theme, narrow) {
  const steps = axis.unit === "s" ? SECOND_STEPS : axis.unit === "bytes" ? BYTE_STEPS : null;
  return {
    scale,
    side: scale === "y2" ? 1 : 3,
    stroke: MUTED[theme],
    font: FONT,
    labelFont: FONT,
    label: narrow ? undefined : axis.label || undefined,
    labelSize: 20,
    labelGap: 2,
    gap: 6,
    grid: { show: scale === "y", stroke: FAINT[theme], width: 1 },
    ticks: { show: false },
    space: 32,
    ...(steps ? { incrs: steps } : {}),
    values: (_, splits) => splits.map((value) => formatTick(value, axis.unit, axis.decimals)),
    size: measureAxis,
  };
}

function measureAxis(plot, values, index, cycle) {
  const axis = plot.axes[index];
  if (cycle > 1) return axis._size;
  const longest = (values || []).reduce((most, each) => (each.length > most.length ? each : most), "");
  plot.ctx.font = axis.font[0];
  return Math.ceil(plot.ctx.measureText(longest).width / devicePixelRatio) + axis.gap + 8;
}

function writeTimes(plot, splits) {
  const long = plot.scales.x.max - plot.scales.x.min > 2 * 86400;
  const seconds = splits.some((each) => each % 60) ? { second: "2-digit" } : {};
  const day = { day: "2-digit", month: "short" };
  const time = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...seconds };
  const { min, max } = plot.scales.x;
  const edge = max - (max - min) * 0.04;
  let before = null;
  return splits.map((at) => {
    // A label at the very edge would lose its last digits.
    if (at > edge && plot.axes.length < 3) return "";
    const moment = new Date(at * 1000);
    const midnight = moment.getHours() + moment.getMinutes() + moment.getSeconds() === 0;
    const sameDay = before !== null && before.toDateString() === moment.toDateString();
    before = moment;
    if (midnight || (long && !sameDay)) return moment.toLocaleDateString("en-GB", day);
    return moment.toLocaleTimeString("en-GB", time);
  });
}

/* Ranges between thresholds, clipped to the plot: value above the step, below the next one. */
function fillThresholds(plot, chart, theme) {
  if (!chart.mark_areas) return;
  const { left, top, width, height } = plot.bbox;
  const { ctx } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  chart.steps.forEach(([value, colour], at) => {
    const next = chart.steps[at + 1];
    const high = next ? plot.valToPos(next[0], "y", true) : top;
    const low = value === null ? top + height : plot.valToPos(value, "y", true);
    if (!isMarked(colour) || high >= low) return;
    ctx.fillStyle = withOpacity(graphicColour(colour, theme), theme === "dark" ? 0.14 : 0.1);
    ctx.fillRect(left, high, width, low - high);
  });
  ctx.restore();
}

function lineThresholds(plot, chart, theme) {
  if (!chart.mark_lines) return;
  const { left, top, width, height } = plot.bbox;
  const { ctx } = plot;
  chart.steps.forEach(([value, colour], at) => {
    if (value === null) return;
    const place = Math.round(plot.valToPos(value, "y", true));
    if (place < top || place > top + height) return;
    // A line between a bad range and an unmarked one has the colour of the bad one.
    const shown = isMarked(colour) ? colour : at ? chart.steps[at - 1][1] : colour;
    if (!isMarked(shown)) return;
    ctx.save();
    ctx.strokeStyle = graphicColour(shown, theme);
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash([8 * devicePixelRatio, 5 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(left, place);
    ctx.lineTo(left + width, place);
    ctx.stroke();
    ctx.restore();
  });
}

function drawMarks(plot, dashboard, theme) {
  const { left, top, width, height } = plot.bbox;
  const { ctx } = plot;
  const ratio = devicePixelRatio;
  const limit = (place) => Math.min(Math.max(place, left), left + width);
  // Alerts fire together: one shade for all of them, or the lines would drown in it.
  let shaded = left;
  for (const mark of dashboard.marks) {
    const colour = graphicColour(mark.colour, theme);
    const start = limit(Math.round(plot.valToPos(mark.start_ms / 1000, "x", true)));
    const end = limit(Math.round(plot.valToPos(mark.end_ms / 1000, "x", true)));
    ctx.save();
    const from = Math.max(start, shaded);
    ctx.fillStyle = withOpacity(colour, 0.1);
    if (end > from) ctx.fillRect(from, top, end - from, height);
    shaded = Math.max(shaded, end);
    ctx.strokeStyle = ctx.fillStyle = colour;
    ctx.lineWidth = ratio;
    ctx.setLineDash([3 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(start, top);
    ctx.lineTo(start, top + height);
    ctx.stroke();
    ctx.beginPath();
    ctx.moveTo(start - 5 * ratio, top - 7 * ratio);
    ctx.lineTo(start + 5 * ratio, top - 7 * ratio);
    ctx.lineTo(start, top + ratio);
    ctx.fill();
    ctx.restore();
  }
}

function pointAt(plot, panel, dashboard) {
  const { idx, left } = plot.cursor;
  if (!plot.pointed || idx === null || idx === undefined || left < 0) return;
  const at = plot.data[0][idx];
  const rows = panel.chart.lines
    .map((line, index) => ({ line, value: line.values[idx], shown: plot.series[index + 1].show }))
    .filter((each) => each.shown && each.value !== null);
  if (panel.options.tooltip && panel.options.tooltip.sort === "desc") {
    rows.sort((one, other) => other.value - one.value);
  }
  const near = dashboard.marks.filter((mark) => {
    const slack = Math.max(panel.chart.step_ms, (dashboard.end_ms - dashboard.start_ms) / 150);
    return mark.start_ms - slack <= at * 1000 && at * 1000 <= mark.end_ms + slack;
  });
  tooltip.replaceChildren(
    element("p", { class: "when" }, writeMoment(at * 1000)),
    ...(rows.length ? [] : [element("p", {}, panel.nothing)]),
    element("table", {}, element("tbody", {}, ...rows.map(({ line, value }) => element("tr", {},
      element("td", {}, swatch(line.colour), line.name),
      element("td", { class: "number" }, line.texts[String(value)] || formatValue(value, line.unit, line.decimals)),
    )))),
    ...near.slice(0, 4).map((mark) => element("p", { class: "event" }, swatch(mark.colour), writeMark(mark))),
  );
  tooltip.hidden = false;
  const box = plot.over.getBoundingClientRect();
  const { offsetWidth: wide, offsetHeight: high } = tooltip;
  const x = box.left + left;
  const room = document.documentElement.clientWidth;
  const beside = x + 16 + wide < room ? x + 16 : x - 16 - wide;
  tooltip.style.left = `${Math.max(8, Math.min(beside, room - wide - 8))}px`;
  tooltip.style.top = `${Math.max(8, Math.min(box.top + 12, innerHeight - high - 8))}px`;
}

/* Arrow keys move through a chart that has the focus, as the pointer does. */
function takeKeys(host, plot) {
  host.addEventListener("keydown", (event) => {
    const last = plot.data[0].length - 1;
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 }[event.key];
    if (event.key === "Escape") tooltip.hidden = true;
    const target = { Home: 0, End: last }[event.key] ?? (step && (plot.cursor.idx ?? last) + step);
    if (target === undefined) return;
    event.preventDefault();
    plot.pointed = true;
    const at = Math.min(Math.max(target, 0), last);
    plot.setCursor({ left: plot.valToPos(plot.data[0][at], "x"), top: plot.over.clientHeight / 2 });
  });
  host.addEventListener("blur", () => { plot.pointed = false; tooltip.hidden = true; });
}
