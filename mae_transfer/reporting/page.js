// The values of each line below the pointer. A drawing states the limits of its axes; its lines have their points.
'use strict';
const box = document.getElementById('values');
const numbers = (text) => text.trim().split(/[\s,]+/).map(Number);
const shown = (value) => Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3)
  ? value.toExponential(3) : String(Number(value.toPrecision(5)));
for (const plot of document.querySelectorAll('svg.plot[data-box]')) {
  const [left, top, right, bottom] = numbers(plot.dataset.box);
  const [xLow, xHigh] = numbers(plot.dataset.x);
  const isLog = plot.dataset.log === '1';
  const [yLow, yHigh] = numbers(plot.dataset.y).map((value) => isLog ? Math.log10(value) : value);
  const xOf = (at) => xLow + (at - left) / (right - left) * (xHigh - xLow);
  const yOf = (at) => {
    const value = yLow + (bottom - at) / (bottom - top) * (yHigh - yLow);
    return isLog ? 10 ** value : value;
  };
  const series = [...plot.querySelectorAll('g[data-name]')].map((group) => {
    const points = [];
    for (const line of group.querySelectorAll('polyline')) {
      const all = numbers(line.getAttribute('points'));
      for (let i = 0; i < all.length; i += 2) points.push([all[i], all[i + 1]]);
    }
    return {name: group.dataset.name, colour: group.dataset.colour, points};
  });
  const cursor = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  cursor.setAttribute('stroke', 'currentColor');
  cursor.setAttribute('stroke-opacity', '.45');
  plot.append(cursor);
  plot.addEventListener('pointermove', (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse());
    const nearest = series.map((one) => one.points.reduce(
      (best, point) => best && Math.abs(best[0] - at.x) <= Math.abs(point[0] - at.x) ? best : point, null));
    const places = nearest.filter(Boolean).map((point) => point[0]);
    if (!places.length) return;
    const place = places.reduce((best, x) => Math.abs(x - at.x) < Math.abs(best - at.x) ? x : best);
    cursor.setAttribute('d', `M${place} ${top}V${bottom}`);
    box.replaceChildren(`${plot.dataset.title} ${shown(xOf(place))}`);
    series.forEach((one, number) => {
      const point = nearest[number];
      if (!point || Math.abs(point[0] - place) > (right - left) / 30) return;
      const row = document.createElement('div'), mark = document.createElement('i');
      mark.style.background = one.colour;
      row.append(mark, `${one.name}: ${shown(yOf(point[1]))}`);
      box.append(row);
    });
    box.hidden = false;
    const width = box.offsetWidth, height = box.offsetHeight;
    box.style.left = `${Math.max(4, event.clientX + 16 + width > innerWidth ? event.clientX - width - 16 : event.clientX + 16)}px`;
    box.style.top = `${Math.max(4, Math.min(event.clientY + 16, innerHeight - height - 4))}px`;
  });
  plot.addEventListener('pointerleave', () => {
    box.hidden = true;
    cursor.removeAttribute('d');
  });
}
