import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./components/App";
import { ControlContext } from "./components/hooks";
import { Control } from "./control/control";
import "./styles/base.css";
import "./styles/login.css";
import "./styles/shell.css";
import "./styles/chat.css";
import "./styles/call.css";

const root = document.getElementById("root");
if (!root) throw new Error("no #root");
const control = new Control();
control.start();
createRoot(root).render(
  <StrictMode>
    <ControlContext value={control}>
      <App />
    </ControlContext>
  </StrictMode>,
);
