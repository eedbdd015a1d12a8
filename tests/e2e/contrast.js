// Every piece of text that can be seen, with the lowest contrast to what is painted below it.
// axe leaves text in SVG out; this looks at what lies under the middle of each text, and mixes it.
() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const parsed = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r / 255, g / 255, b / 255, a / 255];
  };
  const painted = (element) => {
    const style = getComputedStyle(element);
    if (element instanceof SVGGraphicsElement) {
      if (style.fill === "none" || element.tagName === "svg" || element.tagName === "g") return null;
      const [r, g, b, a] = parsed(style.fill);
      return [r, g, b, a * style.fillOpacity * style.opacity];
    }
    return parsed(style.backgroundColor);
  };
  const mixed = (over, under) => over.slice(0, 3).map((c, i) => c * over[3] + under[i] * (1 - over[3]));
  const luminance = (colour) => {
    const [r, g, b] = colour.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || ["title", "desc", "style"].includes(element.tagName)) continue;
    if (!element.checkVisibility()) continue;
    if (element.matches("a")) element.focus(); // the skip link is there only then
    element.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getClientRects()[0];
    if (!box) continue;
    const below = document.elementsFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    const layers = below.filter((one) => one !== element || !(one instanceof SVGElement));
    const back = layers.reverse().map(painted).filter(Boolean).reduce((b, l) => mixed(l, b), [1, 1, 1]);
    const style = getComputedStyle(element);
    const front = mixed(parsed(element instanceof SVGElement ? style.fill : style.color), back);
    const [low, high] = [luminance(front), luminance(back)].sort((a, b) => a - b);
    found.push({
      text: node.data.trim().slice(0, 40),
      svg: element instanceof SVGElement,
      hit: below.length > 0,
      contrast: (high + 0.05) / (low + 0.05),
    });
  }
  return found;
}
