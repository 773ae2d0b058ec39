import { type ReactNode, useEffect, useRef } from "react";

interface Props {
  label: string;
  className: string;
  role?: "alertdialog";
  /** Without it, Escape does nothing: a call that rings must not be declined by a key meant for something else. */
  onClose?: () => void;
  children: ReactNode;
}

/** The browser's own modal dialog: it keeps the focus inside, and gives it back. */
export function Dialog({ label, className, role, onClose, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    element?.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => element?.close();
  }, []);
  useEffect(() => {
    const element = dialog.current;
    if (!element) return;
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === "Escape" && !onClose) event.preventDefault(); // Chromium closes at the second one, whatever `cancel` says
    };
    const onCancel = (event: Event): void => {
      event.preventDefault();
      onClose?.();
    };
    element.addEventListener("keydown", onKey);
    element.addEventListener("cancel", onCancel);
    return () => {
      element.removeEventListener("keydown", onKey);
      element.removeEventListener("cancel", onCancel);
    };
  }, [onClose]);
  return <dialog ref={dialog} className={`dialog ${className}`} role={role} aria-label={label}>{children}</dialog>;
}
