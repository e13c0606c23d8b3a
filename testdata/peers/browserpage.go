package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// contrastJS finds text with too little contrast to its background, by the
// rule of WCAG 2.2.
const contrastJS = `(() => {
  const parse = c => c.match(/[\d.]+/g).map(Number);
  const lum = ([r, g, b]) => { const f = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const ground = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] === 1) return c; } return matchMedia('(prefers-color-scheme: dark)').matches ? [0, 0, 0] : [255, 255, 255]; };
  const bad = {}; let seen = 0, least = 21;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n; n = walk.nextNode(); ) {
    if (!n.data.trim()) continue;
    const e = n.parentElement, s = getComputedStyle(e), a = lum(parse(s.color)), b = lum(ground(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    seen++; least = Math.min(least, ratio);
    if (ratio < 4.5) bad[e.tagName + '.' + e.className] = n.data.slice(0, 40) + ' ' + ratio.toFixed(2);
  }
  return { Bad: bad, Seen: seen, Least: least };
})()`

// overflowJS finds elements that extend beyond the window.
const overflowJS = `(() => {
  const wide = document.documentElement.clientWidth, bad = [];
  if (document.documentElement.scrollWidth > wide) bad.push('the page is ' + document.documentElement.scrollWidth);
  for (const e of document.body.querySelectorAll(':not(.scroll *)')) { const r = e.getBoundingClientRect(); if (r.width && r.right > wide + 1) bad.push(e.tagName + '.' + e.className + ' ' + Math.round(r.right) + ': ' + e.textContent.slice(0, 40)); }
  return bad.slice(0, 10);
})()`

// Draw opens a page in windows of two widths and in both schemes of colours, and demands that the browser
// has nothing to say of it, that nothing reaches beyond the window, folded or not, and that all text can be
// read. It returns the longest that [Browser.Open] took. In the folder of screenshots it leaves pictures of
// that name, if there is one.
func (b *Browser) Draw(file, name, screenshots string) (longest time.Duration) {
	b.t.Helper()
	for _, window := range []struct {
		name  string
		width int
	}{{"wide", 1280}, {"narrow", 390}} {
		for _, scheme := range []string{"light", "dark"} {
			where := fmt.Sprintf("%s, %d pixels wide, %s", name, window.width, scheme)
			b.Look(window.width, 900, scheme)
			longest = max(longest, b.Open(file))
			if screenshots != "" {
				path := filepath.Join(screenshots, fmt.Sprintf("%s-%s-%s.png", name, window.name, scheme))
				if err := os.WriteFile(path, b.Screenshot(8000), 0o644); err != nil {
					b.t.Fatal(err)
				}
			}
			b.fits(where)
			b.Eval("document.querySelectorAll('details').forEach(d => d.open = true), 0", new(int))
			b.fits(where + ", unfolded")
			b.readable(where)
		}
	}
	return longest
}

func (b *Browser) fits(where string) {
	b.t.Helper()
	var beyond []string
	if b.Eval(overflowJS, &beyond); len(beyond) > 0 {
		b.t.Errorf("%s: beyond the window reach %q", where, beyond)
	}
}

func (b *Browser) readable(where string) {
	b.t.Helper()
	var contrast struct {
		Bad   map[string]string
		Seen  int
		Least float64
	}
	b.Eval(contrastJS, &contrast)
	if len(contrast.Bad) > 0 || contrast.Seen == 0 {
		b.t.Errorf("%s: of %d texts have too little contrast %v", where, contrast.Seen, contrast.Bad)
	}
	b.t.Logf("%s: %d texts, the least contrast is %.2f", where, contrast.Seen, contrast.Least)
}
