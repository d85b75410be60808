// Pointer, wheel and keys on the plane, as what they mean.

// Pixels that a pointer may move and still have clicked.
const STILL = 4;
const ZOOM = 1.2;

// `act` has move, brush, brushed, pan, zoom, hover, leave, click, nudge, pick, clear and whole; `mode` says what a drag does.
export function listen(canvas, mode, act) {
  let drag = null;
  const place = (event) => {
    const { left, top } = canvas.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    canvas.setPointerCapture(event.pointerId);
    const kind = event.button === 1 ? "pan" : mode();
    drag = { kind, start: place(event), last: place(event), hasMoved: false };
    act.leave();
  });

  canvas.addEventListener("pointermove", (event) => {
    const here = place(event);
    if (!drag) return act.hover(here, [event.clientX, event.clientY]);
    const far = Math.hypot(here[0] - drag.start[0], here[1] - drag.start[1]);
    drag.hasMoved ||= far > STILL;
    if (!drag.hasMoved) return;
    if (drag.kind === "move") act.move(here);
    if (drag.kind === "select") act.brush(drag.start, here);
    if (drag.kind === "pan") act.pan(here[0] - drag.last[0], here[1] - drag.last[1]);
    drag.last = here;
  });

  canvas.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { kind, start, hasMoved } = drag;
    drag = null;
    if (!hasMoved) act.click(place(event));
    else if (kind === "select") act.brushed(start, place(event), event.shiftKey);
  });

  canvas.addEventListener("pointercancel", () => {
    drag = null;
    act.clear();
  });
  canvas.addEventListener("pointerleave", () => act.leave());

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    act.zoom(place(event), ZOOM ** (-event.deltaY / 100));
  }, { passive: false });

  canvas.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 40 : 8;
    const middle = [canvas.clientWidth / 2, canvas.clientHeight / 2];
    const keys = {
      ArrowLeft: () => act.nudge(-step, 0),
      ArrowRight: () => act.nudge(step, 0),
      ArrowUp: () => act.nudge(0, -step),
      ArrowDown: () => act.nudge(0, step),
      Enter: () => act.pick(),
      Escape: () => act.clear(),
      "+": () => act.zoom(middle, ZOOM),
      "-": () => act.zoom(middle, 1 / ZOOM),
      0: () => act.whole(),
    };
    const found = keys[event.key];
    if (!found || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    found();
  });
}
