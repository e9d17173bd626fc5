/* Draws the numbers of the page "Statistics": creations as bars, waiting times as lines, above
 * one time axis. The table says the same. */
"use strict";

(() => {
  const box = document.getElementById("statistics-chart");
  const source = document.getElementById("statistics-data");
  if (!box || !source) return;

  const data = JSON.parse(source.textContent);
  const first = data.start[0];
  const end = data.start[data.start.length - 1] + data.width;
  const middles = data.start.map((start) => start + data.width / 2);
  const plots = [];

  const number = new Intl.NumberFormat("en");
  const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
  const year = end - first > 300 * 86400 ? { year: "numeric" } : {};
  const date = new Intl.DateTimeFormat([], { day: "numeric", month: "short", ...year });
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  /* What the axes of moments, of durations and of numbers count in. */
  const moments = [60, 300, 600, 1800, 3600, 10800, 21600, 43200,
    ...[1, 2, 4, 7, 14, 30, 60, 180, 365].map((days) => days * 86400)];
  const durations = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200,
    10800, 21600, 43200, ...[1, 2, 5, 10, 20, 50, 100, 200, 500].map((days) => days * 86400)];
  const powers = [...Array(13).keys()].map((zeros) => 10 ** zeros);
  const numbers = powers.flatMap((power) => [power, 2 * power, 5 * power]);

  /* The two largest units: 12.3 s, 3 min 05 s; on an axis without a rest of nothing: 3 min. */
  function seconds(value, isRound) {
    if (value === null || value === undefined) return "—";
    if (value < 59.95) return `${isRound ? Number(value.toFixed(1)) : value.toFixed(1)} s`;
    const rounded = (size) => Math.round(value / size) * size;
    const at = units.findIndex(([size], place) => rounded(units[place + 1][0]) >= size);
    const [[size, unit], [less, rest]] = [units[at], units[at + 1]];
    const whole = rounded(less);
    const more = (whole % size) / less;
    const text = `${number.format(Math.floor(whole / size))} ${unit}`;
    return isRound && !more ? text : `${text} ${String(more).padStart(2, "0")} ${rest}`;
  }

  function times(_, splits, __, ___, step) {
    return splits.map((at, place) => {
      const day = date.format(at * 1000);
      if (step >= 86400) return day;
      const isNew = place === 0 || day !== date.format(splits[place - 1] * 1000);
      return clock.format(at * 1000) + (isNew ? `\n${day}` : "");
    });
  }

  function from(_, middle) {
    if (middle === null) return "—";
    const start = (middle - data.width / 2) * 1000;
    return `${date.format(start)}, ${clock.format(start)}`;
  }

  const colour = (name) => getComputedStyle(box).getPropertyValue(name).trim();

  function draw(height, time, upright, series, values, bands) {
    const line = { stroke: colour("--bs-border-color"), width: 1 };
    const axis = { stroke: colour("--bs-secondary-color"), grid: line, ticks: line };
    const options = {
      width: box.clientWidth,
      height,
      series: [{ label: "From", value: from }, ...series],
      bands,
      axes: [{ ...axis, space: 80, incrs: moments, ...time }, { ...axis, size: 80, ...upright }],
      scales: {
        x: { range: () => [first, end] },
        y: { range: (_, __, top) => [0, top * 1.05 || 1] },
      },
      padding: [8, 28, 0, 0],
      cursor: { sync: { key: "statistics" }, drag: { x: false, y: false }, y: false },
      legend: { markers: { fill: (plot, place) => plot.series[place].stroke(plot, place) } },
    };
    plots.push(new uPlot(options, [middles, ...values], box));
  }

  /* Where few buckets have a start there is no line between them: points, none hidden. */
  const isSparse = data.average.filter((value) => value !== null).length < 40;

  function line(label, name, size, dash) {
    const stroke = colour(name);
    const points = { show: true, size: isSparse ? size : 4, stroke, fill: stroke };
    return { label, stroke, width: 2, dash, points, value: (_, value) => seconds(value) };
  }

  function drawAll() {
    plots.splice(0).forEach((plot) => plot.destroy());
    const fill = colour("--statistics-creations");
    const bars = {
      label: "Number of creations", stroke: fill, fill, width: 0, points: { show: false },
      paths: uPlot.paths.bars({ size: [0.8, 60] }),
      value: (_, value) => (value === null ? "—" : number.format(value)),
    };
    const lines = [
      line("Max waiting time", "--statistics-maximum", 10, [8, 4]),
      line("Average waiting time", "--statistics-average", 7),
      line("Min waiting time", "--statistics-minimum", 4, [2, 3]),
    ];
    const between = [{ series: [1, 3], fill: colour("--statistics-between") }];
    const waits = (_, splits) => splits.map((value) => seconds(value, true));
    draw(180, { size: 12, values: (_, splits) => splits.map(() => "") }, { incrs: numbers },
      [bars], [data.creations]);
    draw(280, { values: times }, { incrs: durations, values: waits },
      lines, [data.maximum, data.average, data.minimum], between);
  }

  box.hidden = false;
  drawAll();
  new ResizeObserver(() => {
    for (const plot of plots) plot.setSize({ width: box.clientWidth, height: plot.height });
  }).observe(box);
  const theme = { attributeFilter: ["data-bs-theme"] };
  new MutationObserver(drawAll).observe(document.documentElement, theme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
})();
