"use strict";
/* Numbers and colours as text and ink. The numbers agree with dashboards/preview/values.py. */

const SUFFIXES = { "": "", none: "", short: "", cps: " /s", reqps: " req/s" };
const TIMES = { ns: 1e-9, "µs": 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600, d: 86400 };
const SECONDS = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [Infinity, 86400, "d"]];

function formatValue(value, unit = "short", decimals = null) {
  if (value === null || value === undefined) return "-";
  if (Number.isNaN(value)) return "NaN";
  return value < 0 ? "-" + writeValue(-value, unit, decimals) : writeValue(value, unit, decimals);
}

function writeValue(value, unit, decimals) {
  if (value === Infinity) return "∞";
  if (unit === "percent") return writePercent(value, decimals);
  if (unit === "percentunit") return writePercent(value * 100, decimals);
  if (Object.hasOwn(TIMES, unit)) return writeSeconds(value * TIMES[unit], decimals);
  if (unit === "bytes") {
    return writeScaled(value, 1024, [" B", " KiB", " MiB", " GiB", " TiB", " PiB"], decimals);
  }
  if (unit === "short" && value >= 1e5) {
    return writeScaled(value, 1000, ["", " K", " M", " B", " T"], decimals);
  }
  const suffix = Object.hasOwn(SUFFIXES, unit) ? SUFFIXES[unit] : ` ${unit.replace(/^suffix:/, "").trim()}`;
  return writeNumber(value, decimals) + suffix;
}

function writePercent(value, decimals) {
  if (decimals !== null) return `${roundTo(value, decimals)} %`;
  /* 99.97 % is not everything, and 0.02 % is not nothing. */
  const isEnd = (number) => number === 0 || number === 100;
  const telling = [1, 2, 3].find((digits) => isEnd(value) || !isEnd(Number(value.toFixed(digits))));
  return `${roundTo(value, telling || 1)} %`;
}

function writeSeconds(value, decimals) {
  if (value === 0) return "0 s";
  if (value < 1e-3) return `${roundTo(value / 1e-6, decimals || 0)} µs`;
  if (value < 1) return `${roundTo(value / 1e-3, decimals || 0)} ms`;
  const [, size, unit] = SECONDS.find(([below]) => value < below);
  return `${roundTo(value / size, decimals === null ? 1 : decimals)} ${unit}`;
}

function writeScaled(value, base, names, decimals) {
  let step = 0;
  while (value >= base && step < names.length - 1) {
    value /= base;
    step += 1;
  }
  return writeNumber(value, decimals) + names[step];
}

function writeNumber(value, decimals) {
  if (decimals !== null) return roundTo(value, decimals);
  if (Number.isInteger(value)) return roundTo(value, 0);
  const digits = Math.min(Math.max(2 - Math.floor(Math.log10(value)), 0), 6);
  const text = roundTo(value, digits);
  return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
}

function roundTo(value, decimals) {
  if (value >= 1e21) return value.toExponential(2);
  const [whole, part] = value.toFixed(decimals).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return part ? `${grouped}.${part}` : grouped;
}

/* An axis has round numbers: 20 s, not 20.0 s. */
function formatTick(value, unit, decimals) {
  return formatValue(value, unit, decimals).replace(/(\.\d*?)0+(?=\s|$)/, "$1").replace(/\.(?=\s|$)/, "");
}

const GRAPHIC = {
  dark: {
    green: "#6ccf6e", yellow: "#f2cc3a", orange: "#ff9a3c", red: "#ff6b6b", blue: "#78aaff",
    purple: "#c48be8", text: "#e6e8ee", transparent: "transparent", none: "#e6e8ee",
  },
  light: {
    green: "#1a7f37", yellow: "#a87400", orange: "#cf5f00", red: "#cf222e", blue: "#1f65d6",
    purple: "#8338c4", text: "#1b2027", transparent: "transparent", none: "#1b2027",
  },
};

const SERIES = {
  dark: [
    "#78aaff", "#f0b44c", "#56cfae", "#c48be8", "#ff8f70", "#a6d65c", "#f48fb8", "#6fd3f5",
    "#d9bb8f", "#a3adeb",
  ],
  light: [
    "#1f65d6", "#a86a00", "#0c8467", "#8338c4", "#c4452b", "#557d00", "#bf2a6b", "#0a7aa3",
    "#86683a", "#4d59b0",
  ],
};

const SURFACE = { dark: "#181b21", light: "#ffffff" };
const FAINT = { dark: "#2b3038", light: "#e3e6ea" };
const MUTED = { dark: "#a9b1bd", light: "#545d69" };

/* What theme is shown now: the chosen one, or the system's. */
function currentTheme() {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === "dark" || chosen === "light") return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/* A colour to draw with: Grafana's names, its shades (dark-red), hex codes, places in a palette. */
function graphicColour(name, theme = currentTheme()) {
  if (name.startsWith("palette:")) return SERIES[theme][Number(name.slice(8)) % SERIES[theme].length];
  const family = name.replace(/^(super-light|light|semi-dark|dark)-/, "");
  if (Object.hasOwn(GRAPHIC[theme], family)) return GRAPHIC[theme][family];
  return /^#([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})$/i.test(name) ? name : GRAPHIC[theme].text;
}

/* Ten colours are as many as can be told apart; the next ten lines have the same ones, dashed. */
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3]];

function dashOf(name, theme = currentTheme()) {
  const place = name.startsWith("palette:") ? Number(name.slice(8)) : 0;
  return DASHES[Math.floor(place / SERIES[theme].length) % DASHES.length];
}

function channels(hex) {
  const full = hex.length < 6 ? hex.replace(/[0-9a-f]/gi, "$&$&") : hex;
  return [1, 3, 5].map((at) => parseInt(full.slice(at, at + 2), 16));
}

function luminance(rgb) {
  const [r, g, b] = rgb.map((each) => {
    const share = each / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

/* A colour to write with: moved towards the text's colour until it can be read on the surface. */
function inkColour(name, theme = currentTheme()) {
  if (name === "transparent") return GRAPHIC[theme].text;
  const [surface, end] = [channels(SURFACE[theme]), channels(GRAPHIC[theme].text)];
  let ink = channels(graphicColour(name, theme));
  for (let step = 0; step < 20 && contrast(ink, surface) < 4.7; step += 1) {
    ink = ink.map((each, at) => Math.round(each + (end[at] - each) * 0.15));
  }
  return `rgb(${ink.join(",")})`;
}

/* Black or white, whichever can be read on a colour. */
function inkOn(colour) {
  const rgb = channels(colour);
  return contrast(rgb, [12, 14, 18]) >= contrast(rgb, [255, 255, 255]) ? "#0c0e12" : "#ffffff";
}

function withOpacity(colour, opacity) {
  return `rgba(${channels(colour).join(",")},${opacity})`;
}

/* Whether a colour says anything at all. */
function isMarked(name) {
  return name !== "none" && name !== "transparent" && name !== "text";
}
