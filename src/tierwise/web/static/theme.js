// Before the page is drawn: the theme chosen on this machine, so that nothing flashes.
(function () {
  "use strict";
  try {
    var chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch (error) { /* storage is off: the system's theme holds */ }
})();
