import { type FormEvent, useEffect, useRef, useState } from "react";
import { ApiError } from "../api/client";
import { loginRefusal } from "../control/refusals";
import type { Key, Params } from "../i18n/words";
import { IconButton } from "./Button";
import { LanguageChoice } from "./LanguageChoice";
import { Mark } from "./Mark";
import { useControl, useSelect, useT } from "./hooks";

export function Login() {
  const t = useT();
  const control = useControl();
  const signedOut = useSelect((state) => state.signedOut);
  const [busy, setBusy] = useState(false);
  const [visible, setVisible] = useState(false);
  const [problem, setProblem] = useState<{ key: Key; params: Params } | null>(
    signedOut === "by-server" ? { key: "login.signedOut", params: {} } : null,
  );
  const password = useRef<HTMLInputElement>(null);

  useEffect(() => {
    document.title = t("login.title");
  });

  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setProblem(null);
    try {
      await control.login(String(form.get("user")).trim(), String(form.get("password")));
    } catch (error) {
      setBusy(false);
      setProblem({ key: loginRefusal(error), params: { count: error instanceof ApiError ? error.retryAfter || 30 : 0 } });
      password.current?.select();
    }
  }

  return (
    <main className="login">
      <div className="login-card">
        <Mark />
        <h1>{t("login.title")}</h1>
        <p className="login-lead">{t("login.lead")}</p>
        <form onSubmit={(event) => void submit(event)}>
          <label className="field">
            <span>{t("login.user")}</span>
            <input name="user" autoComplete="username" autoCapitalize="none" spellCheck={false} required maxLength={64} autoFocus />
          </label>
          <div className="field">
            <label htmlFor="password">{t("login.password")}</label>
            <span className="with-button">
              <input id="password" ref={password} name="password" type={visible ? "text" : "password"} autoComplete="current-password" required maxLength={1024} />
              <IconButton icon={visible ? "eyeOff" : "eye"} label={t(visible ? "login.hide" : "login.show")} onClick={() => setVisible(!visible)} />
            </span>
          </div>
          <p className="login-problem" role="alert">{problem && t(problem.key, problem.params)}</p>
          <button className="button primary wide" type="submit" disabled={busy}>
            {t(busy ? "login.busy" : "login.submit")}
          </button>
        </form>
      </div>
      <LanguageChoice />
    </main>
  );
}
