  // Put into easq.js by the service (service/routes/widget.py).

  const LEAST_OPACITY = 0.05;

  /** Whether a box would show what stands in it at a point. Its own clipping, not that of boxes around it. */
  function showsAt(box, style, x, y) {
    const { left, right, top, bottom } = box.getBoundingClientRect();
    if (style.overflowX !== "visible" && (x < left || x > right)) return false;
    if (style.overflowY !== "visible" && (y < top || y > bottom)) return false;
    if (style.clipPath === "none" || style.pointerEvents === "none") return true;
    return box.getRootNode().elementsFromPoint(x, y).includes(box);
  }

  /**
   * Whether a question of an element would be on the screen: drawn, in the window, clipped away by no box
   * around it, and under nothing modal. What merely covers it is not noticed.
   */
  function canBeSeen(element, aboveBottom) {
    const isDrawn = element.checkVisibility?.({ checkVisibilityCSS: true }) ?? true;
    if (document.hidden || !isDrawn) return false;
    const { left, width, bottom } = element.getBoundingClientRect();
    const x = left + width / 2, y = bottom - aboveBottom;
    if (width === 0 || x <= 0 || x >= innerWidth || y <= 0 || y >= innerHeight) return false;
    let tops = [document.fullscreenElement, ...document.querySelectorAll(":modal")].filter(Boolean);
    let opacity = 1;
    let leaves = ""; // how the element below is positioned, if that takes it out of the boxes around it
    for (let at = element; at; at = at.assignedSlot ?? at.parentNode ?? at.host) {
      tops = tops.filter((top) => top !== at);
      if (!(at instanceof Element)) continue;
      const style = getComputedStyle(at);
      opacity *= style.opacity * (/opacity\(([\d.e-]+)\)/.exec(style.filter)?.[1] ?? 1);
      const holdsAll = style.transform !== "none" || style.filter !== "none";
      if (leaves && !holdsAll && (leaves === "fixed" || style.position === "static")) continue;
      const isPage = at === document.documentElement || at === document.body;
      if (at !== element && !isPage && !showsAt(at, style, x, y)) return false;
      leaves = style.position === "absolute" || style.position === "fixed" ? style.position : "";
    }
    return opacity >= LEAST_OPACITY && tops.length === 0;
  }
