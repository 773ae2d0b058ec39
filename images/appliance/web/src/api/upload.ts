/** A file on its way to the portal. `fetch` cannot tell how much of a body has left, so this is an XMLHttpRequest. */
import { ApiError, refusal, uploadPath } from "./client";
import * as parse from "./parse";
import type { SharedFile } from "./types";

export interface Upload {
  done: Promise<SharedFile>;
  cancel: () => void;
}

export function upload(user: string, me: string, file: File, onProgress: (sent: number) => void): Upload {
  const request = new XMLHttpRequest();
  const done = new Promise<SharedFile>((resolve, reject) => {
    request.open("POST", uploadPath(user, file.name));
    request.responseType = "json";
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => onProgress(event.loaded);
    request.onerror = () => reject(new ApiError(0));
    request.onabort = () => reject(new ApiError(0, "cancelled"));
    request.onload = () => {
      const answer: unknown = request.response;
      if (request.status < 200 || request.status > 299) {
        return reject(refusal(request.status, answer, request.getResponseHeader("Retry-After")));
      }
      const shared = parse.file(answer, user, me);
      if (!shared) return reject(new ApiError(0));
      return resolve({
        ...shared,
        conversation: user,
        from: me,
        name: shared.name || file.name,
        size: shared.size || file.size,
        at: shared.at || Date.now(),
      });
    };
    request.send(file);
  });
  return { done, cancel: () => request.abort() };
}
