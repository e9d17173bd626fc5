// What the pages of the panel do in the browser: times in the viewer's zone, seconds that count
// on between two answers of the server, the buttons that fit the selection, and whether it is live.
(() => {
  "use strict";
  const shownAs = new Intl.DateTimeFormat(undefined, {
    day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
  });
  const withYear = new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  });
  const halfYear = 182 * 24 * 3600 * 1000;
  const pad = (number) => String(number).padStart(2, "0");

  // the same form as flask_panel/shown.py
  function seconds(value) {
    if (value < 59.95) return `${value.toFixed(1)} s`;
    const whole = Math.round(value);
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
    const minutes = Math.round(value / 60);
    if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
    const hours = Math.round(value / 3600);
    return `${Math.floor(hours / 24).toLocaleString("en")} d ${pad(hours % 24)} h`;
  }

  function localize(root) {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const moment = new Date(element.dateTime);
      const format = Math.abs(Date.now() - moment) < halfYear ? shownAs : withYear;
      const text = format.format(moment);
      if (element.textContent !== text) element.textContent = text;
    }
  }

  // element -> [data-seconds when it was seen, the clock at that moment]
  const seen = new WeakMap();
  function count() {
    for (const element of document.querySelectorAll(".seconds[data-grows]")) {
      let [base, at] = seen.get(element) ?? [];
      if (base !== element.dataset.seconds) {
        [base, at] = [element.dataset.seconds, Date.now()];
        seen.set(element, [base, at]);
      }
      element.textContent = seconds(Number(base) + (Date.now() - at) / 1000);
    }
  }

  function select() {
    const boxes = [...document.querySelectorAll("#selection input[name=id]")];
    if (!document.getElementById("selection")) return;
    const offered = {};
    for (const box of boxes.filter((box) => box.checked)) {
      for (const name of box.closest("tr").dataset.operations.split(" ")) offered[name] = (offered[name] ?? 0) + 1;
    }
    for (const button of document.querySelectorAll(".toolbar [data-operation]")) {
      const fitting = offered[button.dataset.operation] ?? 0;
      button.disabled = !fitting;
      button.querySelector(".count").textContent = fitting > 1 ? ` ${fitting}` : "";
    }
    const all = document.getElementById("select-all");
    const checked = boxes.filter((box) => box.checked).length;
    if (all) [all.checked, all.indeterminate] = [checked > 0 && checked === boxes.length, checked > 0 && checked < boxes.length];
  }

  function live(text) {
    const place = document.getElementById("live");
    if (place && place.textContent !== text) place.textContent = text;
    place?.classList.toggle("lost", text !== "live");
  }

  function refresh() {
    localize(document);
    count();
    select();
  }

  document.addEventListener("change", (event) => {
    if (event.target.id === "select-all") {
      for (const box of document.querySelectorAll("#selection input[name=id]")) box.checked = event.target.checked;
    }
    select();
  });
  // Enter in a field or on a box would press the first button of the form: Stop
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("form:has([data-operation]) input")) event.preventDefault();
  });
  document.addEventListener("htmx:after:swap", refresh);
  document.addEventListener("htmx:after:request", (event) => {
    if (event.detail.ctx.response.status < 400) live("live");
  });
  document.addEventListener("htmx:response:error", (event) => {
    if (event.detail.ctx.request.method === "GET") live(`not live: the panel answered ${event.detail.ctx.response.status}`);
  });
  document.addEventListener("htmx:error", () => live("not live: the panel does not answer"));
  document.addEventListener("htmx:before:request", (event) => {
    if (document.hidden && event.detail.ctx.request.method === "GET") event.preventDefault();
  });
  addEventListener("pageshow", refresh);
  setInterval(count, 500);
  refresh();
})();
