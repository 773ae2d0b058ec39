import { Icon } from "./Icon";
import { IconButton } from "./Button";
import { useControl, useSelect, useT } from "./hooks";

/** Short words about what happened. The regions are always there: a screen reader tells only what comes into one. */
export function Toasts() {
  const t = useT();
  const { store } = useControl();
  const toasts = useSelect((state) => state.toasts);
  const of = (kind: "info" | "problem") =>
    toasts.filter((toast) => toast.kind === kind).map((toast) => (
      <p key={toast.id} className={`toast toast-${toast.kind}`}>
        <Icon name={kind === "problem" ? "alert" : "bell"} />
        <span>{t(...toast.words)}</span>
        <IconButton icon="close" label={t("call.close")} onClick={() => store.dispatch({ type: "toast-gone", id: toast.id })} />
      </p>
    ));
  return (
    <div className="toasts">
      <div role="status">{of("info")}</div>
      <div role="alert">{of("problem")}</div>
    </div>
  );
}
