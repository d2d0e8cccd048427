// How a worker ends when the process that it stands for has ended.
#pragma once

#include "worker/channel.h"

namespace sterna::native {

// Sends what is held and answers the worker's exit code. When the kernel killed the process (SIGKILL: nobody
// else does, but for want of memory), this process ends the same way and the function does not return: the
// server learns the reason from the worker's own end.
int end_like(int wait_status, worker::Channel& channel);

}  // namespace sterna::native
