"use strict";
// Views of bodies made of triangles, with WebGL 2: flat shading, parallel projection, z up.
(() => {
  const VERTEX = `#version 300 es
    uniform mat3 turn; uniform vec2 scale; in vec3 x; out vec3 seen;
    void main() { seen = turn * x; gl_Position = vec4(seen.xy * scale, -seen.z * 0.4, 1.0); }`;
  const FRAGMENT = `#version 300 es
    precision highp float; uniform vec3 colour; in vec3 seen; out vec4 shown;
    void main() {
      vec3 n = normalize(cross(dFdx(seen), dFdy(seen)));
      float light = 0.5 + 0.3 * abs(n.z) + 0.2 * abs(dot(n, normalize(vec3(-0.35, 0.8, 0.45))));
      shown = vec4(colour * min(light, 1.0), 1.0);
    }`;
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;

  function program(gl) {
    const made = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(made, shader);
    }
    gl.linkProgram(made);
    return gl.getProgramParameter(made, gl.LINK_STATUS) ? made : null;
  }

  function upload(gl, place, body) {
    const whole = new Uint16Array(bytes(body.points));
    const points = Float32Array.from(whole, (v) => v / 32767.5 - 1.0);
    const triangles = new Uint32Array(bytes(body.triangles));
    const vao = gl.createVertexArray();
    gl.bindVertexArray(vao);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, points, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 0, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, triangles, gl.STATIC_DRAW);
    const rgb = [1, 3, 5].map((k) => parseInt(body.colour.slice(k, k + 2), 16) / 255);
    return { name: body.name, colour: body.colour, vao, size: triangles.length, rgb, visible: true };
  }

  function turned(azimuth, height) {
    const [c, s, h, v] = [Math.cos(azimuth), Math.sin(azimuth), Math.sin(height), Math.cos(height)];
    return new Float32Array([-s, -c * h, c * v, c, -s * h, s * v, 0, v, h]);  // columns: images of x, y, z
  }

  function show(figure) {
    const canvas = figure.querySelector("canvas");
    const gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
    const made = gl && program(gl);
    if (!made) return;
    figure.classList.add("ready");
    const at = (name) => gl.getUniformLocation(made, name);
    const places = { turn: at("turn"), scale: at("scale"), colour: at("colour") };
    const bodies = JSON.parse(figure.querySelector("script").textContent)
      .map((body) => upload(gl, gl.getAttribLocation(made, "x"), body));
    const view = { azimuth: 0.78, height: 0.6, zoom: 0.56 };
    gl.useProgram(made);
    gl.enable(gl.DEPTH_TEST);
    gl.clearColor(1, 1, 1, 1);
    const draw = () => {
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      gl.uniformMatrix3fv(places.turn, false, turned(view.azimuth, view.height));
      gl.uniform2f(places.scale, view.zoom * canvas.height / canvas.width, view.zoom);
      for (const body of bodies.filter((one) => one.visible)) {
        gl.uniform3fv(places.colour, body.rgb);
        gl.bindVertexArray(body.vao);
        gl.drawElements(gl.TRIANGLES, body.size, gl.UNSIGNED_INT, 0);
      }
    };
    listen(canvas, view, draw);
    addSwitches(figure.querySelector(".switches"), bodies, draw);
    draw();
  }

  function listen(canvas, view, draw) {
    let held = null;
    const move = (dx, dy) => {
      view.azimuth -= dx;
      view.height = Math.max(-1.57, Math.min(1.57, view.height + dy));
      requestAnimationFrame(draw);
    };
    const magnify = (factor) => {
      view.zoom = Math.max(0.1, Math.min(20, view.zoom * factor));
      requestAnimationFrame(draw);
    };
    canvas.addEventListener("pointerdown", (e) => { held = [e.clientX, e.clientY]; canvas.setPointerCapture(e.pointerId); });
    canvas.addEventListener("pointerup", () => { held = null; });
    canvas.addEventListener("pointermove", (e) => {
      if (!held) return;
      move((e.clientX - held[0]) * 0.01, (e.clientY - held[1]) * 0.01);
      held = [e.clientX, e.clientY];
    });
    canvas.addEventListener("wheel", (e) => { e.preventDefault(); magnify(Math.exp(-e.deltaY * 0.001)); }, { passive: false });
    canvas.addEventListener("keydown", (e) => {
      const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[e.key];
      if (step) { e.preventDefault(); move(...step); }
      if (e.key === "+" || e.key === "-") magnify(e.key === "+" ? 1.1 : 1 / 1.1);
    });
  }

  function addSwitches(place, bodies, draw) {
    for (const body of bodies) {
      const button = document.createElement("button");
      const dot = document.createElement("i");
      dot.style.background = body.colour;
      button.append(dot, body.name);
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        body.visible = !body.visible;
        button.setAttribute("aria-pressed", String(body.visible));
        draw();
      });
      place.append(button);
    }
  }

  document.querySelectorAll("figure.view").forEach(show);
})();
