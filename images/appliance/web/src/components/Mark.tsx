/** The portal's own sign. */
export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 64 64" aria-hidden="true" focusable="false">
      <rect className="mark-ground" width="64" height="64" rx="18" />
      <path className="mark-bubble" d="M14 30c0-8.8 8.1-15 18-15s18 6.2 18 15-8.1 15-18 15c-1.7 0-3.4-.2-5-.6L17.5 49l1.9-8.1C16 38.2 14 34.4 14 30z" />
      <circle className="mark-ground" cx="24.5" cy="30" r="3" />
      <circle className="mark-ground" cx="32" cy="30" r="3" />
      <circle className="mark-dot" cx="39.5" cy="30" r="3" />
    </svg>
  );
}
