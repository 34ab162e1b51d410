(() => {
  const complaints = [];
  const LEAST_PX = 12;
  const SLACK = 1.5;
  const name = (node) => {
    const words = (node.textContent || "").trim().replace(/\s+/g, " ").slice(0, 40);
    return `<${node.tagName.toLowerCase()}${node.id ? "#" + node.id : ""}> "${words}"`;
  };
  const isSeen = (node) => node.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !node.closest("[hidden]");
  const cross = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > SLACK
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > SLACK;

  // A copy is looked at: reading a page's own canvas would slow it down, and Chromium warns of it.
  const isPainted = (canvas) => {
    if (!canvas.width || !canvas.height) return false;
    const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
    const pen = copy.getContext("2d", { willReadFrequently: true });
    pen.drawImage(canvas, 0, 0);
    return pen.getImageData(0, 0, copy.width, copy.height).data.some((value) => value);
  };

  // Document.
  const root = document.documentElement;
  if (!document.title.trim()) complaints.push("no title");
  if (!root.lang) complaints.push("no language");
  if (document.querySelectorAll("h1").length !== 1) complaints.push("not exactly one h1");
  if (root.scrollWidth > root.clientWidth) {
    complaints.push(`the page scrolls sideways: ${root.scrollWidth} px in ${root.clientWidth}`);
  }

  // Panels.
  const panels = [...document.querySelectorAll("[data-panel]")].filter(isSeen);
  panels.forEach((panel, at) => {
    const box = panel.getBoundingClientRect();
    for (const other of panels.slice(at + 1)) {
      if (!panel.contains(other) && cross(box, other.getBoundingClientRect())) {
        complaints.push(`panels intersect: ${name(panel)} and ${name(other)}`);
      }
    }
    if (box.left < -SLACK || box.right > root.clientWidth + SLACK) complaints.push(`panel beside the page: ${name(panel)}`);
    const heading = panel.querySelector("h1,h2,h3,h4,h5,h6");
    if (!heading || !heading.textContent.trim()) complaints.push(`panel without heading: ${name(panel)}`);
    const rest = [...panel.childNodes].filter((node) => node.nodeType === 1 && node.tagName !== "HEADER" && !node.contains(heading));
    const says = rest.some((node) => isSeen(node) && node.innerText.trim());
    const draws = [...panel.querySelectorAll("canvas")].some(isPainted);
    if (!says && !draws) complaints.push(`empty panel: ${name(panel)}`);
    for (const canvas of panel.querySelectorAll("canvas")) {
      if (!isPainted(canvas)) complaints.push(`nothing painted: ${name(panel)}`);
      const inner = canvas.getBoundingClientRect();
      if (inner.right > box.right + SLACK || inner.bottom > box.bottom + SLACK) complaints.push(`canvas sticks out of ${name(panel)}`);
    }
  });

  // Text, one entry for each node of it.
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const owner = node.parentElement;
    if (!node.data.trim() || !isSeen(owner) || owner.closest("script,style,noscript,option")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const boxes = [...range.getClientRects()].filter((box) => box.width > 0 && box.height > 0);
    if (boxes.length) texts.push({ owner, boxes });
  }

  const channels = (colour) => (colour.match(/[\d.]+/g) || []).map(Number);
  const readColour = (() => {
    const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    return (colour) => {
      if (colour.startsWith("rgb")) { const c = channels(colour); return [c[0], c[1], c[2], c[3] ?? 1]; }
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
      return [r, g, b, a / 255];
    };
  })();
  const over = (front, back) => front.slice(0, 3).map((each, at) => each * front[3] + back[at] * (1 - front[3]));
  const behind = (node) => {
    const layers = [];
    for (let each = node; each; each = each.parentElement) {
      const colour = readColour(getComputedStyle(each).backgroundColor);
      if (colour[3] > 0) layers.unshift(colour);
      if (colour[3] === 1) break;
    }
    return layers.reduce((back, layer) => over(layer, back), [255, 255, 255]);
  };
  const luminance = (rgb) => rgb.map((each) => each / 255)
    .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
    .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0);

  for (const { owner, boxes } of texts) {
    const style = getComputedStyle(owner);
    const size = parseFloat(style.fontSize);
    if (size < LEAST_PX) complaints.push(`letters of ${size} px: ${name(owner)}`);

    const back = behind(owner);
    const front = over(readColour(style.color), back);
    const [low, high] = [luminance(front), luminance(back)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) complaints.push(`contrast of ${ratio.toFixed(2)}: ${name(owner)}`);

    // Whatever hides its overflow must hold the text; what scrolls may hold more than it shows.
    let scrolls = false;
    for (let each = owner; each && each !== document.body; each = each.parentElement) {
      const { overflowX, overflowY } = getComputedStyle(each);
      if ([overflowX, overflowY].some((value) => value === "auto" || value === "scroll")) {
        scrolls = true;
        break;
      }
      if (![overflowX, overflowY].some((value) => value === "hidden" || value === "clip")) continue;
      const frame = each.getBoundingClientRect();
      const cut = each.scrollWidth > each.clientWidth + SLACK || each.scrollHeight > each.clientHeight + SLACK
        || boxes.some((box) => box.left < frame.left - SLACK || box.right > frame.right + SLACK || box.top < frame.top - SLACK || box.bottom > frame.bottom + SLACK);
      if (cut) { complaints.push(`clipped text: ${name(owner)}`); break; }
    }
    const panel = owner.closest("[data-panel]");
    if (!scrolls) {
      const frame = (panel || root).getBoundingClientRect();
      if (boxes.some((box) => box.left < frame.left - SLACK || box.right > frame.right + SLACK || (panel && box.bottom > frame.bottom + SLACK))) {
        complaints.push(`text sticks out: ${name(owner)}`);
      }
    }
  }

  // Text on text: a line's box is higher than its letters, so a third of it may be shared.
  const shrink = (box) => ({ left: box.left, right: box.right, top: box.top + box.height / 6, bottom: box.bottom - box.height / 6 });
  const inFlow = texts.filter(({ owner }) => !owner.closest("thead,.tooltip"));
  inFlow.forEach((one, at) => {
    for (const other of inFlow.slice(at + 1)) {
      if (one.owner.contains(other.owner) || other.owner.contains(one.owner)) continue;
      const boxOf = (node) => node.closest("[data-scroller],.scroller,.legend");
      if (boxOf(one.owner) !== boxOf(other.owner)) continue;
      if (one.boxes.some((a) => other.boxes.some((b) => cross(shrink(a), shrink(b))))) {
        complaints.push(`text on text: ${name(one.owner)} and ${name(other.owner)}`);
      }
    }
  });

  for (const [canvas, texts] of window.paintedTexts || []) {
    if (!canvas.isConnected) continue;
    for (const [size, over, words] of texts) {
      if (size < LEAST_PX) complaints.push(`painted letters of ${size} px: "${words}"`);
      if (over > SLACK) complaints.push(`painted letters are cut: "${words}"`);
    }
  }
  return [...new Set(complaints)];
})()
