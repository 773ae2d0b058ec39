/** In the media server a participant is `<user>~<public session id>`: one user may be there from two devices. */
export function userOf(identity: string): string {
  const mark = identity.lastIndexOf("~");
  return mark > 0 ? identity.slice(0, mark) : identity;
}
