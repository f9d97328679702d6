"use strict";
// The traces of one recording: all muscles under each other on one time axis; drawn when they come into view.
(() => {
  const LEFT = 124, RIGHT = 40, HEAD = 22, FOOT = 26; // margins in pixels
  const ZERO = { true: 0.64, false: 0.95 }; // of a row: where estimates rise from, below EMG that swings or does not
  const LEAST_S = 0.02; // the closest zoom

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const short = (value) => (Number.isFinite(value) ? Number(value.toPrecision(3)).toString() : "–");

  async function unpack(text) {
    const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // The arrays lie behind each other. EMG: 8 bits on a square-law scale. The rest: 16 bits, as differences, all low
  // bytes before all high bytes. The lowest code of each is a missing sample.
  function decode(described, bytes) {
    let at = 0;
    return described.map((d) => {
      const raw = d.kind === "raw", values = new Float32Array(d.n);
      for (let i = 0, q = 0; i < d.n; i++) {
        q = raw ? (bytes[at + i] << 24) >> 24 : ((q + bytes[at + i] + 256 * bytes[at + d.n + i]) << 16) >> 16;
        const share = raw ? (q * Math.abs(q)) / 16129 : q / 32767;
        values[i] = q === (raw ? -128 : -32768) ? NaN : d.peak * share;
      }
      at += raw ? d.n : 2 * d.n;
      return { ...d, values };
    });
  }

  // Round steps for the time axis.
  function steps(low, high, about) {
    const rough = (high - low) / about, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((s) => s * power).find((s) => s >= rough);
    const ticks = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) ticks.push(k * step);
    return { ticks, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  }

  class Traces {
    constructor(box, header, arrays) {
      Object.assign(this, { box, header, view: [header.start, header.stop], cursor: null, drag: null });
      [this.under, this.over] = box.querySelectorAll("canvas");
      this.readout = box.querySelector(".readout");
      this.rows = header.muscles.map((muscle, index) => {
        const own = arrays.filter((a) => a.muscle === index);
        const of = (kind) => new Map(own.filter((a) => a.kind === kind).map((a) => [a.method, a]));
        const raw = own.find((a) => a.kind === "raw");
        return { ...muscle, index, raw, mean: of("mean"), lower: of("lower"), upper: of("upper") };
      });
      this.listen();
      this.read();
    }

    // What is ticked.
    read() {
      const ticked = (name) => [...this.box.querySelectorAll(`input[name=${name}]:checked`)].map((i) => i.value);
      const on = (name) => ticked(name).length > 0;
      this.shown = { raw: on("raw"), band: on("band"), bursts: on("bursts"), methods: ticked("method") };
      this.visible = this.rows.filter((row) => ticked("muscle").includes(String(row.index)));
      this.resize();
    }

    resize() {
      const n = Math.max(this.visible.length, 1), scale = window.devicePixelRatio || 1;
      this.row = clamp(Math.round(640 / n), 78, 300);
      this.bottom = HEAD + n * this.row;
      this.height = this.bottom + FOOT;
      this.width = this.box.querySelector(".plot").clientWidth;
      this.inner = this.width - LEFT - RIGHT;
      for (const canvas of [this.under, this.over]) {
        Object.assign(canvas, { width: this.width * scale, height: this.height * scale });
        canvas.style.height = `${this.height}px`;
        canvas.getContext("2d").setTransform(scale, 0, 0, scale, 0, 0);
      }
      this.redraw();
    }

    redraw() {
      this.waiting ??= requestAnimationFrame(() => {
        this.waiting = null;
        this.draw();
        this.mark();
      });
    }

    x = (time) => LEFT + ((time - this.view[0]) / (this.view[1] - this.view[0])) * this.inner;
    time = (x) => this.view[0] + ((x - LEFT) / this.inner) * (this.view[1] - this.view[0]);

    show(start, stop) {
      const { start: first, stop: last } = this.header;
      const length = clamp(stop - start, Math.min(LEAST_S, last - first), last - first);
      const from = clamp(start, first, last - length);
      this.view = [from, from + length];
      this.redraw();
    }
    zoom(factor, about = (this.view[0] + this.view[1]) / 2) {
      this.show(about - (about - this.view[0]) * factor, about + (this.view[1] - about) * factor);
    }
    pan(share, [start, stop] = this.view) {
      this.show(start + share * (stop - start), stop + share * (stop - start));
    }
    act(what) {
      if (what === "left" || what === "right") this.pan(what === "left" ? -0.3 : 0.3);
      else if (what === "in" || what === "out") this.zoom(what === "in" ? 0.6 : 1 / 0.6);
      else this.show(this.header.start, this.header.stop);
    }

    // [x, least, largest] along a signal: every sample where there is room, else one for each pixel; null at a gap.
    columns(a) {
      const perPixel = ((this.view[1] - this.view[0]) / this.inner) * a.rate, out = [];
      const [first, last] = this.view.map((time) => (time - a.start) * a.rate);
      if (perPixel <= 2) {
        for (let i = Math.max(0, Math.floor(first) - 1); i <= Math.min(a.n - 1, Math.ceil(last) + 1); i++) {
          const v = a.values[i];
          out.push(Number.isNaN(v) ? null : [this.x(a.start + i / a.rate), v, v]);
        }
        return out;
      }
      for (let p = 0; p < this.inner; p++) {
        let low = Infinity, high = -Infinity;
        const stop = Math.min(a.n, Math.ceil(first + (p + 1) * perPixel));
        for (let i = Math.max(0, Math.ceil(first + p * perPixel)); i < stop; i++) {
          const v = a.values[i];
          if (v < low) low = v;
          if (v > high) high = v;
        }
        out.push(low <= high ? [LEFT + p, low, high] : null);
      }
      return out;
    }

    line(c, a, y) {
      let pen = false;
      c.beginPath();
      for (const column of this.columns(a)) {
        if (column) {
          const [x, low, high] = column;
          pen ? c.lineTo(x, y(low)) : c.moveTo(x, y(low));
          if (high !== low) c.lineTo(x, y(high));
        }
        pen = column !== null;
      }
      c.stroke();
    }

    band(c, lower, upper, y) {
      const low = this.columns(lower), high = this.columns(upper);
      for (let i = 0; i < high.length; i++) {
        const from = i;
        c.beginPath();
        for (; low[i] && high[i]; i++) c.lineTo(high[i][0], y(high[i][2]));
        for (let k = i - 1; k >= from; k--) c.lineTo(low[k][0], y(low[k][1]));
        c.fill();
      }
    }

    straight(c, ...points) {
      c.beginPath();
      points.forEach(([x, y]) => c.lineTo(Math.round(x) + 0.5, Math.round(y) + 0.5));
      c.stroke();
    }

    hue(method) {
      const input = [...this.box.querySelectorAll("input[name=method]")].find((i) => i.value === method);
      return getComputedStyle(input.parentElement).getPropertyValue("--own").trim();
    }

    draw() {
      const c = this.under.getContext("2d");
      c.clearRect(0, 0, this.width, this.height);
      Object.assign(c, { textBaseline: "middle", lineJoin: "round" });
      this.axis(c);
      this.visible.forEach((row, i) => this.drawRow(c, row, HEAD + i * this.row));
    }

    drawRow(c, row, top) {
      const { signed } = this.header, above = ZERO[signed] * this.row, zero = top + above;
      const up = (v) => zero - (v / row.top) * (above - 5);
      const swing = (v) => zero - (v / row.peak) * (signed ? this.row - above - 3 : above - 5);
      Object.assign(c, { strokeStyle: colour("rule"), lineWidth: 1 });
      this.straight(c, [0, top], [this.width, top]);
      this.straight(c, [LEFT, zero], [this.width - RIGHT, zero]);
      c.save();
      c.beginPath();
      c.rect(LEFT, top + 1, this.inner, this.row - 2);
      c.clip();
      this.shade(c, row, top);
      if (this.shown.raw) {
        Object.assign(c, { strokeStyle: colour("raw"), lineWidth: 0.8 });
        this.line(c, row.raw, swing);
      }
      c.fillStyle = colour("ink");
      for (const [index, on, off] of this.shown.bursts ? this.header.bursts : [])
        if (index === row.index) c.fillRect(this.x(on), top + this.row - 6, Math.max(1, this.x(off) - this.x(on)), 3);
      for (const [method, mean] of row.mean) {
        if (!this.shown.methods.includes(method)) continue;
        const own = this.hue(method);
        if (this.shown.band && row.lower.has(method)) {
          Object.assign(c, { fillStyle: own, globalAlpha: 0.2 });
          this.band(c, row.lower.get(method), row.upper.get(method), up);
        }
        Object.assign(c, { strokeStyle: own, globalAlpha: 1, lineWidth: 1.5 });
        c.setLineDash(method === "truth" ? [5, 3] : []);
        this.line(c, mean, up);
      }
      c.restore();
      this.labels(c, row, top, up);
    }

    shade(c, row, top) {
      for (const [index, start, stop, why] of this.header.masked) {
        if (index !== row.index) continue;
        const from = Math.max(this.x(start), LEFT), to = Math.min(this.x(stop), this.width - RIGHT);
        Object.assign(c, { fillStyle: colour("shade"), globalAlpha: 0.75 });
        c.fillRect(from, top, Math.max(to - from, 1), this.row);
        Object.assign(c, { fillStyle: colour("masked"), globalAlpha: 1 });
        if (to - from > 8 * why.length) c.fillText(`left out: ${why}`, from + 6, top + 11);
      }
    }

    font(c, size, weight = 400) {
      c.font = `${weight} ${size}px ${getComputedStyle(document.body).fontFamily}`;
    }

    labels(c, row, top, up) {
      Object.assign(c, { textAlign: "left", fillStyle: colour("ink") });
      this.font(c, 12.5, 600);
      c.fillText(row.label, 0, top + 16, LEFT - 8);
      c.fillStyle = colour("muted");
      this.font(c, 11);
      if (this.shown.raw) c.fillText(`EMG ${this.header.signed ? "±" : "to "}${short(row.peak)} ${this.header.unit}`, 0, top + 33, LEFT - 8);
      if (!row.mean.size) return;
      const marks = [0, ...[0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50].filter((v) => v <= row.top / 1.15).slice(-1)];
      marks.forEach((mark) => c.fillText(String(mark), this.width - RIGHT + 5, up(mark)));
    }

    axis(c) {
      const { ticks, digits } = steps(...this.view, this.inner / 90), y = this.bottom;
      this.font(c, 11);
      Object.assign(c, { fillStyle: colour("muted"), strokeStyle: colour("rule"), lineWidth: 1, textAlign: "center" });
      for (const tick of ticks) {
        this.straight(c, [this.x(tick), y], [this.x(tick), y + 5]);
        c.fillText(tick.toFixed(digits), this.x(tick), y + 14);
      }
      c.textAlign = "left";
      c.fillText("time (s)", 0, y + 14);
      this.straight(c, [0, y], [this.width, y]);
      const whole = this.header.stop - this.header.start, length = this.view[1] - this.view[0];
      if (length < whole) // where in the recording this is
        c.fillRect(LEFT + ((this.view[0] - this.header.start) / whole) * this.inner, this.height - 3,
          Math.max(4, (length / whole) * this.inner), 3);
      this.events(c);
    }

    events(c) {
      let free = -Infinity, last = -Infinity; // where the last label ends, and where the last line is
      for (const [time, label, side] of this.header.events) {
        const x = this.x(time), text = [side[0]?.toUpperCase(), label].filter(Boolean).join(" ");
        if (x < LEFT || x > this.width - RIGHT || x < last + 3) continue; // a train of pulses is no grey wall
        last = x;
        c.setLineDash(side === "left" ? [2, 3] : []);
        this.straight(c, [x, HEAD - 4], [x, this.bottom]);
        c.setLineDash([]);
        if (x < free) continue;
        c.fillText(text, x + 2, HEAD - 11);
        free = x + c.measureText(text).width + 8;
      }
    }

    // The cursor, the stretch that is being chosen, and the values under the cursor.
    mark() {
      const c = this.over.getContext("2d"), { cursor, drag } = this;
      c.clearRect(0, 0, this.width, this.height);
      if (cursor && drag && !drag.pan) {
        Object.assign(c, { fillStyle: colour("link"), globalAlpha: 0.15 });
        c.fillRect(drag.x, HEAD, cursor.x - drag.x, this.bottom - HEAD);
      }
      const row = cursor && this.visible[Math.floor((cursor.y - HEAD) / this.row)];
      const inside = row && cursor.x >= LEFT && cursor.x <= this.width - RIGHT;
      this.readout.hidden = !inside;
      if (!inside) return;
      Object.assign(c, { strokeStyle: colour("ink"), globalAlpha: 0.5 });
      this.straight(c, [cursor.x, HEAD], [cursor.x, this.bottom]);
      c.globalAlpha = 1;
      this.tell(row, this.time(cursor.x));
    }

    tell(row, time) {
      const at = (a) => a?.values[Math.round((time - a.start) * a.rate)] ?? NaN;
      const three = (v) => (Number.isNaN(v) ? "–" : v.toFixed(3));
      const lines = [["", `${row.label}, ${time.toFixed(3)} s`]];
      lines.push([colour("raw"), `EMG ${short(at(row.raw))} ${this.header.unit}`]);
      for (const [method, mean] of row.mean) {
        if (!this.shown.methods.includes(method)) continue;
        const range = [row.lower, row.upper].map((bounds) => three(at(bounds.get(method)))).join(" to ");
        lines.push([this.hue(method), `${method} ${three(at(mean))}${range.includes("–") ? "" : ` (${range})`}`]);
      }
      this.readout.replaceChildren(...lines.map(([own, text]) => {
        const line = document.createElement("div");
        if (own) line.append(document.createElement("i"));
        line.style.setProperty("--own", own);
        line.append(text);
        return line;
      }));
      const { cursor, readout } = this, room = cursor.x + 14 + readout.offsetWidth < this.width;
      readout.style.left = `${cursor.x + (room ? 14 : -14 - readout.offsetWidth)}px`;
      readout.style.top = `${clamp(cursor.y + 12, 0, this.height - readout.offsetHeight)}px`;
    }

    listen() {
      const { box, over } = this;
      box.addEventListener("change", () => this.read());
      box.addEventListener("click", (e) => e.target.dataset.do && this.act(e.target.dataset.do));
      for (const media of ["print", "(prefers-color-scheme: dark)"])
        matchMedia(media).addEventListener("change", () => this.draw()); // at once: paper does not wait for a frame
      new ResizeObserver(() => box.querySelector(".plot").clientWidth !== this.width && this.resize()).observe(box);
      over.addEventListener("pointerdown", (e) => {
        over.setPointerCapture(e.pointerId);
        this.drag = { x: e.offsetX, pan: e.shiftKey || e.button === 1 || e.pointerType === "touch", view: this.view };
      });
      over.addEventListener("pointermove", (e) => {
        this.cursor = { x: e.offsetX, y: e.offsetY };
        if (this.drag?.pan) this.pan((this.drag.x - e.offsetX) / this.inner, this.drag.view);
        else this.mark();
      });
      over.addEventListener("pointerup", (e) => {
        const drag = this.drag, ends = [drag?.x, e.offsetX].map(this.time).sort((a, b) => a - b);
        this.drag = null;
        if (drag && !drag.pan && Math.abs(e.offsetX - drag.x) > 5) this.show(...ends);
        else this.mark();
      });
      over.addEventListener("pointerleave", () => {
        this.cursor = null;
        this.mark();
      });
      over.addEventListener("dblclick", () => this.act("all"));
      over.addEventListener("wheel", (e) => {
        if (document.activeElement !== over && !e.ctrlKey && !e.metaKey) return; // else a reader could not scroll past
        e.preventDefault();
        if (Math.abs(e.deltaX) > Math.abs(e.deltaY)) this.pan(e.deltaX / 800);
        else this.zoom(Math.exp(e.deltaY / 400), this.time(e.offsetX));
      }, { passive: false });
      over.addEventListener("keydown", (e) => {
        const keys = { ArrowLeft: "left", ArrowRight: "right", "+": "in", "=": "in", "-": "out", 0: "all", Home: "all" };
        if (!keys[e.key] || e.ctrlKey || e.metaKey) return;
        e.preventDefault();
        this.act(keys[e.key]);
      });
    }
  }

  async function begin(box) {
    const part = (name) => document.getElementById(`${box.dataset.id}-${name}`).textContent;
    try {
      const header = JSON.parse(part("header"));
      new Traces(box, header, decode(header.arrays, await unpack(part("data"))));
    } catch (error) {
      box.querySelector(".plot").textContent = `The traces cannot be drawn (${error.message}); a browser of 2023 or newer can.`;
    }
  }

  const entered = (entries) => entries.filter((e) => e.isIntersecting).forEach(({ target }) => {
    observer.unobserve(target);
    begin(target);
  });
  const observer = new IntersectionObserver(entered, { rootMargin: "400px" });
  document.querySelectorAll(".traces").forEach((box) => observer.observe(box));
  // A link to a recording unfolds it.
  const unfold = () => document.getElementById(location.hash.slice(1))?.closest("details")?.setAttribute("open", "");
  addEventListener("hashchange", unfold);
  unfold();
})();
