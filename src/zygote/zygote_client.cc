#include "zygote/zygote_client.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "zygote/packet.h"

namespace sterna::zygote {

ZygoteClient::ZygoteClient(UniqueFd control, pid_t pid) : control_(std::move(control)), pid_(pid) {
  ::fcntl(control_.get(), F_SETFL, O_NONBLOCK);
}

Status ZygoteClient::send(const Request& request, std::span<const int> fds) {
  const std::string bytes = encode(request);
  if (bytes.size() > kMaxPacketBytes) {
    return fail(Code::kInvalid, Component::kWorker, "bad_control_message", "the request is too long");
  }
  const int error = send_packet(control_.get(), bytes, fds);
  if (error == 0) return {};
  if (error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS) {
    return fail(Code::kExhausted, Component::kPool, "zygote_busy", "the zygote has too many unread requests");
  }
  return fail(Code::kUnavailable, Component::kPool, "zygote_gone", "the zygote's socket is closed");
}

Status ZygoteClient::configure(const Configure& wanted) {
  return send(wanted);
}

Status ZygoteClient::send_spares(Network network, std::uint32_t count) {
  return send(Spares{network, count});
}

Status ZygoteClient::send_start(const std::string& worker, const sandbox::SandboxPlan& plan,
                                int worker_socket, int claim_page, int output, int secrets) {
  const int fds[] = {worker_socket, claim_page, output, secrets};
  return send(Start{worker, plan, {}}, {fds, secrets < 0 ? 3U : 4U});
}

Status ZygoteClient::send_fork(const std::string& worker, const sandbox::SandboxPlan& plan,
                               const std::string& parent, int worker_socket, int claim_page, int output) {
  const int fds[] = {worker_socket, claim_page, output};
  return send(Start{worker, plan, parent}, fds);
}

Status ZygoteClient::send_kill(const std::string& worker) {
  return send(Kill{worker});
}

Status ZygoteClient::send_ping() {
  return send(Ping{});
}

Result<std::optional<Report>> ZygoteClient::receive() {
  Packet packet;
  switch (receive_packet(control_.get(), packet)) {
    case Received::kNothing:
      return std::optional<Report>();
    case Received::kClosed:
      return fail(Code::kUnavailable, Component::kPool, "zygote_gone", "the zygote's socket is closed");
    case Received::kPacket:
      break;
  }
  auto report = decode_report(packet.bytes);
  if (!report) return std::unexpected(report.error());
  if (auto* started = std::get_if<Started>(&*report); started != nullptr && !packet.fds.empty()) {
    started->listener = std::move(packet.fds.front());
  }
  return std::optional<Report>(std::move(*report));
}

}  // namespace sterna::zygote
