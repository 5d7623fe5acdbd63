/** What a tab has over a reload: nothing, where the browser keeps nothing for this page. */
export function remembered(key: string): string | null {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

export function remember(key: string, value: string): void {
  try {
    sessionStorage.setItem(key, value);
  } catch {
    // It is lost with a reload.
  }
}
