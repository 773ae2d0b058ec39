import type { ButtonHTMLAttributes } from "react";
import { Icon, type IconName } from "./Icon";

type Props = ButtonHTMLAttributes<HTMLButtonElement> & { icon: IconName; label: string };

/** A button of which one sees the picture only; its name is said, and shown when the pointer rests on it. */
export function IconButton({ icon, label, className = "", ...rest }: Props) {
  return (
    <button type="button" {...rest} className={`icon-button ${className}`} aria-label={label} title={label}>
      <Icon name={icon} />
    </button>
  );
}

/** A button of a call: round, with its name below. */
export function RoundButton({ icon, label, className = "", ...rest }: Props) {
  return (
    <button type="button" {...rest} className={`round ${className}`}>
      <span className="round-face"><Icon name={icon} /></span>
      <span className="round-label">{label}</span>
    </button>
  );
}
