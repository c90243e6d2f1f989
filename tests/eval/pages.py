"""What the tests of pages ask of every page."""

PHONE = {"width": 375, "height": 740}

CONTRAST = """() => {
  const lum = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const parse = (s) => s.match(/[\\d.]+/g).map(Number);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  const bad = [];
  for (const e of document.querySelectorAll("main *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || !e.getClientRects().length
      || e.closest("[aria-hidden=true], [inert], .visually-hidden")) continue;
    const [a, b] = [lum(parse(getComputedStyle(e).color).slice(0, 3)), lum(ground(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) bad.push([e.tagName, e.className, e.textContent.trim().slice(0, 40)].join(" "));
  }
  return bad;
}"""
UNLABELLED = """() => [...document.querySelectorAll("main input:not([type=hidden]), main select, main button, main progress")]
  .filter((e) => !(e.labels && e.labels.length) && !e.textContent.trim() && !e.ariaLabel).map((e) => e.outerHTML)"""


def readable(page):
    """Contrast AA, every control labelled, no sideways scrolling of the page itself."""
    for _ in range(20):
        if not (faint := page.evaluate(CONTRAST)):
            break
        page.wait_for_timeout(250)  # colours may still be fading in
    assert not faint
    assert page.evaluate(UNLABELLED) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("[...document.images].every((image) => image.alt !== '')")
