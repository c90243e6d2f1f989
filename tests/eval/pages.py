"""Checks of every page: contrast, labels, no sideways scrolling."""

import time

PHONE = {"width": 375, "height": 740}

CONTRAST = """() => {
  const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = (c) => {
    const [r, g, b] = c.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const parse = (s) => s.match(/[\\d.]+/g).map(Number);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const hasText = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  const hidden = (e) => e.closest("[aria-hidden=true], [inert], .visually-hidden");
  const bad = [];
  for (const e of document.querySelectorAll("main *")) {
    if (!hasText(e) || !e.getClientRects().length || hidden(e)) continue;
    const text = luminance(parse(getComputedStyle(e).color).slice(0, 3));
    const [a, b] = [text, luminance(ground(e))].sort((x, y) => y - x);
    const name = [e.tagName, e.className, e.textContent.trim().slice(0, 40)].join(" ");
    if ((a + 0.05) / (b + 0.05) < 4.5) bad.push(name);
  }
  return bad;
}"""
"""Names of elements whose text has a contrast below WCAG AA."""

UNLABELED = """() => {
  const controls = "main input:not([type=hidden]), main select, main button, main progress";
  const labeled = (e) => (e.labels && e.labels.length) || e.textContent.trim() || e.ariaLabel;
  const bare = [...document.querySelectorAll(controls)].filter((e) => !labeled(e));
  return bare.map((e) => e.outerHTML);
}"""
"""Controls without a label."""


def readable(page):
    """Check contrast AA, labels of controls, and the page's width."""
    for _ in range(20):
        if not (faint := page.evaluate(CONTRAST)):
            break
        page.wait_for_timeout(250)  # colors may still be fading in
    assert not faint
    assert page.evaluate(UNLABELED) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("[...document.images].every((image) => image.alt !== '')")


def wait_for_images(page):
    """Wait until all images are there, by questions from outside.

    Playwright's own waiting evaluates in the page, which our pages forbid.
    """
    loaded = "[...document.images].every((image) => image.complete && image.naturalWidth)"
    end = time.monotonic() + 30
    while not page.evaluate(loaded):
        assert time.monotonic() < end, "images do not load"
        page.wait_for_timeout(20)
