// What both ways of making a worker (child.cc, program_child.cc) do in the same way. No allocation, no locks.
#pragma once

#include <span>

#include "sandbox/enter.h"
#include "zygote/child.h"
#include "zygote/packet.h"

namespace sterna::zygote {

// The numbers of a child's descriptors.
inline constexpr int kControlSocketFd = 3;  // of a child that waits; of a worker it is the worker socket
inline constexpr int kExitNotEntered = 126;

void send_note(int socket, const ChildNote& note, std::span<const int> fds = {});

// Waits for the order and its descriptors. Ends the process when none will come.
void receive_order(int control, sandbox::EnterOrder& order, RawPacket& raw);

// Installs the filter of the network that came with an order, if one did.
sandbox::StepError filter_network(const sandbox::EnterOrder& order, const RawPacket& raw);

// Makes the secrets that came with an order, if any, readable at /run/secrets.
sandbox::StepError mount_secrets(const sandbox::EnterOrder& order, const RawPacket& raw);

// Tells the zygote which step failed and ends the process.
[[noreturn]] void give_up(int socket, const sandbox::StepError& error);

// Closes every descriptor from `first` on.
void close_from(unsigned first);

// Standard input is empty; output and error go to `output`, or to nowhere when that is -1.
bool set_standard_fds(int output);

// Pid 1: takes in orphans, tells how the worker ended, and with its own end ends everything in the namespace.
[[noreturn]] void run_init(int control, pid_t worker);

// Pid 1 of a sandbox whose worker may pause: makes replicas of it when it has (CONTROL.md). `orders` leads to
// the worker.
[[noreturn]] void run_parent_init(const ChildSetup& setup, int control, int orders, pid_t worker);

// Pid 1 of a sandbox whose worker becomes `setup.config.program`: prepared, it waits for the user map, starts
// the program, and when the order comes does for it what needs privileges.
[[noreturn]] void run_program_init(const ChildSetup& setup, int control);

}  // namespace sterna::zygote
