// The life of a native worker: descriptors, INIT, its template, the end.
#pragma once

namespace sterna::native {

// Serves one function over a worker's socket and claim page, both taken. Answers the process's exit code.
int run_worker(int socket_fd, int claim_fd);

}  // namespace sterna::native
