import { Login } from "./Login";
import { Mark } from "./Mark";
import { Shell } from "./Shell";
import { useSelect, useT } from "./hooks";

export function App() {
  const t = useT();
  const phase = useSelect((state) => state.phase);
  if (phase === "signed-out") return <Login />;
  if (phase === "signed-in") return <Shell />;
  return (
    <main className="starting" aria-busy="true">
      <Mark />
      <p role="status">{t("app.starting")}</p>
    </main>
  );
}
