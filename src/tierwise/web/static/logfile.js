"use strict";
// A chosen file goes into the text field, so that the form sends it like any text.

(function logfile() {
  const file = document.getElementById("file");
  if (!file) return;
  const text = document.getElementById("log");
  file.closest("[data-needs-script]").hidden = false;
  file.addEventListener("change", async () => {
    const chosen = file.files[0];
    if (!chosen) return;
    if (chosen.size > 8 << 20) {
      file.setCustomValidity("This file is larger than 8 MB: use tierwise estimate --file.");
      file.reportValidity();
      return;
    }
    file.setCustomValidity("");
    text.value = await chosen.text();
    document.getElementById("log-name").value = chosen.name.slice(0, 200);
  });
})();
