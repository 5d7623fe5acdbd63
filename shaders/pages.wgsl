// Part: where the positions of a sequence are in the KV cache, which is handed out in pages.
override PAGE: u32;           // positions of a page
override SEQUENCE_PAGES: u32; // pages that one sequence may have: the length of a line of the table

@group(0) @binding(5) var<storage, read> pages: array<u32>; // [sequences, SEQUENCE_PAGES]

fn placeOf(sequence: u32, position: u32) -> u32 {
  return pages[sequence * SEQUENCE_PAGES + position / PAGE] * PAGE + position % PAGE;
}
