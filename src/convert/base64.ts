/** Bytes as characters at a time: functions take only so many arguments. */
const SLICE = 8192;

export function encodeBase64(bytes: Uint8Array): string {
  let characters = "";
  for (let at = 0; at < bytes.length; at += SLICE) {
    characters += String.fromCharCode(...bytes.subarray(at, at + SLICE));
  }
  return btoa(characters);
}

/** Undefined for what is no Base64. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}
