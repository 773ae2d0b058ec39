import type { Problem } from "../media/problems";
import type { Key } from "../i18n/words";
import { IconButton } from "./Button";
import { Icon } from "./Icon";
import { useT } from "./hooks";

/** One clear word where microphone, camera, screen or network is refused. */
export function ProblemNote({ problem, onAgain, onClose }: { problem: Problem; onAgain?: (() => void) | undefined; onClose: () => void }) {
  const t = useT();
  return (
    <div className="banner banner-bad" role="alert">
      <Icon name="alert" />
      <p>{t(`problem.${problem.about}.${problem.why}` as Key)}</p>
      {onAgain && <button type="button" className="button small" onClick={onAgain}>{t("problem.again")}</button>}
      <IconButton icon="close" label={t("call.close")} onClick={onClose} />
    </div>
  );
}
