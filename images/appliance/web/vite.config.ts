import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    // The portal's Content-Security-Policy allows neither data: addresses nor scripts in the page.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // What changes with each build of ours is small; the media library is read from the browser's cache.
    rollupOptions: { output: { manualChunks: { media: ["livekit-client"], react: ["react", "react-dom", "react-dom/client"] } } },
    chunkSizeWarningLimit: 800,
    reportCompressedSize: true,
  },
});
