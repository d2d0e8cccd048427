#include "connection_type.h"

#include <mutex>

#include "arguments.h"
#include "connection.h"
#include "wire/messages.h"

namespace sterna::node {
namespace {

constexpr double kOwnLength = -1;       // content length: that of the body given
constexpr double kStreamedLength = -2;  // not known

using Lock = std::lock_guard<std::mutex>;

wire::More more_of(bool more) {
  return more ? wire::More::kYes : wire::More::kNo;
}

napi_value read_init(napi_env env, napi_callback_info info) {
  auto& connection = Arguments(env, info).self<Connection>();
  worker::Channel& channel = connection.channel();
  const Lock guarded(connection.guard().mutex());
  while (true) {
    const auto read = channel.reader().next();
    if (!read) return throw_error(env, read.error());
    if (const std::optional<wire::Frame>& frame = *read) {
      if (frame->type != wire::FrameType::kInit)
        return throw_error(env,
                           {Code::kInvalid, Component::kWorker, "bad_frame", "the first frame is not INIT"});
      napi_value text = nullptr;
      must(napi_create_string_utf8(env, frame->payload.data(), frame->payload.size(), &text));
      return text;
    }
    if (channel.fill(worker::Wait::kYes) == worker::Channel::Filled::kEnd) return null_value(env);
  }
}

napi_value send(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  auto& connection = args.self<Connection>();
  worker::Channel& channel = connection.channel();
  const std::string_view payload = args.bytes(1, connection.scratch());
  const Lock guarded(connection.guard().mutex());
  channel.lines().end_all(channel.out());
  wire::append_frame(channel.out(), static_cast<wire::FrameType>(args.integer<int>(0)), wire::More::kNo, 0, 0,
                     payload);
  channel.flush();
  return nullptr;
}

napi_value start(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  args.self<Connection>().start(args.value(0));
  return nullptr;
}

napi_value deliver(napi_env env, napi_callback_info info) {
  Arguments(env, info).self<Connection>().deliver();
  return nullptr;
}

napi_value fields(napi_env env, napi_callback_info info) {
  return Arguments(env, info).self<Connection>().fields();
}

napi_value calls(napi_env env, napi_callback_info info) {
  return Arguments(env, info).self<Connection>().calls();
}

napi_value claims(napi_env env, napi_callback_info info) {
  return Arguments(env, info).self<Connection>().claims();
}

napi_value recalled(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  auto& connection = args.self<Connection>();
  {
    const Lock guarded(connection.guard().mutex());
    wire::append_frame(connection.channel().out(), wire::FrameType::kRecalled, wire::More::kNo,
                       args.integer<std::uint16_t>(1), args.integer<std::uint64_t>(0), {});
  }
  connection.flush_soon();
  return nullptr;
}

// "name\nvalue\n" for each header; neither can hold a line break.
std::uint32_t append_headers(std::string& block, std::string_view lines) {
  std::uint32_t count = 0;
  while (!lines.empty()) {
    const std::size_t name_end = lines.find('\n');
    const std::size_t value_end = lines.find('\n', name_end + 1);
    wire::append_header(block, lines.substr(0, name_end),
                        lines.substr(name_end + 1, value_end - name_end - 1));
    lines.remove_prefix(value_end + 1);
    ++count;
  }
  return count;
}

napi_value respond(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  auto& connection = args.self<Connection>();
  static std::string lines;  // kept for their memory: one thread uses them
  static std::string block;
  block.clear();
  wire::ResponseHead head{.status = args.integer<std::uint32_t>(3),
                          .run_ns = args.integer<std::uint64_t>(2),
                          .header_count = append_headers(block, args.latin1(4, lines)),
                          .headers = block};
  const std::string_view body = args.bytes(5, connection.scratch());
  const double length = args.number(6);
  if (length == kOwnLength) {
    head.content_length = body.size();
  } else if (length != kStreamedLength) {
    head.content_length = static_cast<std::uint64_t>(length);
  }
  const auto call = args.integer<std::uint64_t>(0);
  {
    const Lock guarded(connection.guard().mutex());
    worker::Channel& channel = connection.channel();
    channel.lines().end_call(channel.out(), call);
    const std::size_t offset =
        wire::open_frame(channel.out(), wire::FrameType::kResponse, more_of(args.boolean(7)),
                         args.integer<std::uint16_t>(1), call);
    wire::append_response(channel.out(), head, body);
    wire::close_frame(channel.out(), offset);
  }
  connection.flush_soon();
  return nullptr;
}

napi_value part(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  auto& connection = args.self<Connection>();
  const std::string_view body = args.bytes(2, connection.scratch());
  const auto call = args.integer<std::uint64_t>(0);
  const bool more = args.boolean(3);
  {
    const Lock guarded(connection.guard().mutex());
    worker::Channel& channel = connection.channel();
    if (!more) channel.lines().end_call(channel.out(), call);
    wire::append_frame(channel.out(), wire::FrameType::kResponseBody, more_of(more),
                       args.integer<std::uint16_t>(1), call, body);
  }
  connection.flush_soon();
  return nullptr;
}

napi_value failed(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  auto& connection = args.self<Connection>();
  const std::string_view text = args.bytes(4, connection.scratch());
  {
    const Lock guarded(connection.guard().mutex());
    connection.channel().fail_call(args.integer<std::uint16_t>(1), args.integer<std::uint64_t>(0),
                                   {.kind = static_cast<wire::FailKind>(args.integer<std::uint32_t>(2)),
                                    .run_ns = args.integer<std::uint64_t>(3),
                                    .text = text});
  }
  connection.flush_soon();
  return nullptr;
}

napi_value log(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  auto& connection = args.self<Connection>();
  const std::string_view text = args.bytes(2, connection.scratch());
  const Lock guarded(connection.guard().mutex());
  if (connection.channel().closed()) return to_value(env, false);
  connection.channel().log(args.integer<std::uint64_t>(0), static_cast<wire::Stream>(args.integer<int>(1)),
                           text);
  return to_value(env, true);
}

napi_value flush(napi_env env, napi_callback_info info) {
  Arguments(env, info).self<Connection>().flush_now();
  return nullptr;
}

// Sends all there is, unfinished lines too, and waits for room: for the end of the process.
napi_value flush_all(napi_env env, napi_callback_info info) {
  auto& connection = Arguments(env, info).self<Connection>();
  const Lock guarded(connection.guard().mutex());
  connection.channel().lines().end_all(connection.channel().out());
  connection.channel().flush();
  return nullptr;
}

napi_value close(napi_env env, napi_callback_info info) {
  Arguments(env, info).self<Connection>().close();
  return nullptr;
}

// The methods know their connection by themselves: cheaper than unwrapping an object at each call. It is
// never freed by a collection: the event loop knows it.
void define_methods(napi_env env, napi_value object, Connection& connection) {
  const auto method = [&](const char* name, napi_callback function) -> napi_property_descriptor {
    return {name, nullptr, function, nullptr, nullptr, nullptr, napi_default_method, &connection};
  };
  const napi_property_descriptor methods[] = {
      method("readInit", read_init),  // () -> string | null: waits for INIT; null when the server is gone
      method("send", send),           // (type, payload): a frame without a call, sent at once
      method("start", start),         // (onArrivals)
      method("deliver", deliver),     // (): what came together with INIT
      method("fields", fields),       // () -> Int32Array: the numbers of arrivals (enum Field)
      method("calls", calls),         // () -> Float64Array: the calls that arrivals are about
      method("claims", claims),       // () -> Int32Array: the claim page's slots; to be asked for once
      method("recalled", recalled),   // (call, slot): the call was taken back before it began
      method("respond", respond),     // (call, slot, runNs, status, headerLines, body, contentLength, more)
      method("part", part),           // (call, slot, body, more)
      method("failed", failed),       // (call, slot, kind, runNs, text)
      method("log", log),      // (call, stream, text) -> boolean: false when it cannot be sent any more
      method("flush", flush),  // (): sends what the socket takes
      method("flushAll", flush_all),  // (): sends all; waits
      method("close", close),         // (): it is of no more use
  };
  must(napi_define_properties(env, object, std::size(methods), methods));
}

napi_value create(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  const auto made = Connection::open(env, UniqueFd(args.integer<int>(0)), UniqueFd(args.integer<int>(1)));
  if (!made) return throw_error(env, made.error());
  define_methods(env, args.self_value(), **made);
  return args.self_value();
}

}  // namespace

napi_value make_connection_class(napi_env env) {
  napi_value made = nullptr;
  must(napi_define_class(env, "Connection", NAPI_AUTO_LENGTH, create, nullptr, 0, nullptr, &made));
  return made;
}

}  // namespace sterna::node
