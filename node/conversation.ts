import { writeAll } from "../src/convert/output.ts";
import type { Conversation } from "../src/generate/conversation.ts";
import { createFile } from "./convert/output.ts";

/**
 * Writes a conversation to a file as Conversation.save() has it, a few MB at a time. What had the name stays until all is
 * written; Engine.restore() takes a fileSource() of it.
 * @throws StorageError when the file cannot be written, and what save() throws.
 */
export async function saveConversation(conversation: Conversation, path: string): Promise<void> {
  await writeAll(await createFile(path), conversation.bytes());
}
