// Applies the chosen theme before the first paint. A classic script, since modules run after it.
try {
  const chosen = localStorage.getItem("axon.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* storage is denied: the system's theme */ }
