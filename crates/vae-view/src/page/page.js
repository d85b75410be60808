// Says below a chart what its curves are at the place that is pointed at.
for (const chart of document.querySelectorAll(".chart")) {
  const svg = chart.querySelector("svg");
  const guide = chart.querySelector(".guide");
  const said = chart.querySelector(".said");
  const { left, right, low, high, unit, series } = JSON.parse(chart.dataset.chart);
  const resting = said.textContent;
  const nearest = (points, x) =>
    points.reduce((best, point) => (Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best));
  svg.addEventListener("pointermove", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const x = low + ((at.x - left) / (right - left)) * (high - low);
    const found = series.filter((one) => one.points.length).map((one) => [one.name, nearest(one.points, x)]);
    if (!found.length) return;
    const place = found[0][1][0];
    const across = left + ((place - low) / (high - low || 1)) * (right - left);
    guide.setAttribute("x1", across);
    guide.setAttribute("x2", across);
    guide.style.visibility = "visible";
    said.textContent = `${unit} ${place}: ` + found.map(([name, point]) => `${name} ${point[1].toFixed(3)}`).join(", ");
  });
  svg.addEventListener("pointerleave", () => {
    guide.style.visibility = "hidden";
    said.textContent = resting;
  });
}
