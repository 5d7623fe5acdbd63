import { h, svg } from "../ui/dom.ts";

const WIDTH = 120;
const HEIGHT = 32;

interface Sparkline {
  readonly element: HTMLElement;
  draw(points: readonly number[]): void;
}

/** A curve from 0 to the largest of its points; the figures beside it say the same in numbers. */
export function sparkline(): Sparkline {
  const line = svg("polyline", { points: "", class: "spark-line" });
  const area = svg("polygon", { points: "", class: "spark-area" });
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    area,
    line,
  );
  return {
    element: h("div", { class: "spark" }, picture),
    draw(points) {
      if (points.length < 2) return;
      const most = Math.max(...points, Number.MIN_VALUE);
      const places = points.map((point, i) => {
        const x = (WIDTH * i) / (points.length - 1);
        const y = HEIGHT - 2 - ((HEIGHT - 4) * point) / most;
        return `${x.toFixed(1)},${y.toFixed(1)}`;
      });
      line.setAttribute("points", places.join(" "));
      area.setAttribute("points", `0,${HEIGHT} ${places.join(" ")} ${WIDTH},${HEIGHT}`);
    },
  };
}
