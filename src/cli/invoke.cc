// sterna invoke: one call and its answer; or, with --async, one durable invocation and perhaps its end.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/ulid.h"
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/invocation.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const {
    if (file != stdin) std::fclose(file);
  }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

bool has_header(const std::vector<std::string>& headers, std::string_view name) {
  return std::ranges::any_of(headers, [&](const std::string& header) {
    return header.size() > name.size() && header[name.size()] == ':' &&
           strncasecmp(header.data(), name.data(), name.size()) == 0;
  });
}

bool is_http_url(const std::string& text) {
  return ::strncasecmp(text.c_str(), "http://", 7) == 0 || ::strncasecmp(text.c_str(), "https://", 8) == 0;
}

// Sets the body or opens the file that it comes from; the file must live as long as the request.
Result<File> attach_body(HttpRequest& request, const std::string& data) {
  const bool has_type = has_header(request.headers, "content-type");
  if (!data.starts_with('@')) {
    const bool is_json = api::parse_json(data).has_value();
    if (!has_type) {
      request.headers.emplace_back(is_json ? "Content-Type: application/json"
                                           : "Content-Type: text/plain; charset=utf-8");
    }
    request.body = data;
    return File();
  }
  if (!has_type) request.headers.emplace_back("Content-Type: application/octet-stream");
  const std::string name = data.substr(1);
  File file(name == "-" ? stdin : std::fopen(name.c_str(), "rbe"));
  if (!file) return bad_usage(fmt::format("cannot read {}: {}", name, std::strerror(errno)));
  struct stat info{};
  if (::fstat(::fileno(file.get()), &info) == 0 && S_ISDIR(info.st_mode))
    return bad_usage(fmt::format("cannot read {}: {}", name, std::strerror(EISDIR)));
  request.upload = file.get();
  return file;
}

// Sets the header `name` when the flag was given. Fails with bad_usage on what no header can carry.
Status add_header(HttpRequest& request, std::string_view name, std::string_view flag,
                  const std::optional<std::string>& value) {
  if (!value) return {};
  const bool fits =
      !value->empty() && std::ranges::all_of(*value, [](char c) { return c > ' ' && c < 0x7f; });
  if (!fits) return bad_usage(fmt::format("{} '{}': write printable ASCII without spaces", flag, *value));
  request.headers.push_back(fmt::format("{}: {}", name, *value));
  return {};
}

// RFC 9110 5.6.2: what methods and the names of headers are made of.
bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kMarks.contains(c);
  });
}

bool has_control_character(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; });
}

// With what cannot be seen escaped.
std::string quoted(const std::string& text) {
  return api::dump(api::Json(text));
}

// What is said is sent as it is: a line end in it would begin another header, or another request.
Status check_raw(const InvokeArgs& args) {
  if (!args.method.empty() && !is_token(args.method))
    return bad_usage(fmt::format("-X {}: write a method of letters, such as PUT", quoted(args.method)));
  if (has_control_character(args.path) || args.path.find_first_of(" \t#") != std::string::npos)
    return bad_usage(fmt::format("-p {}: write spaces, # and control characters as %20, %23 and the like",
                                 quoted(args.path)));
  for (const std::string& header : args.headers) {
    const std::size_t colon = header.find(':');
    if (colon == std::string::npos) return bad_usage(fmt::format("-H '{}': write 'Name: value'", header));
    if (!is_token(std::string_view(header).substr(0, colon)))
      return bad_usage(fmt::format("-H {}: the name before the colon holds what no header's name may hold",
                                   quoted(header)));
    if (has_control_character(header))
      return bad_usage(
          fmt::format("-H {}: a header cannot hold line ends and other control characters", quoted(header)));
    if (has_header({header}, "content-length") || has_header({header}, "transfer-encoding"))
      return bad_usage(fmt::format("-H {}: the length of the body follows from -d", quoted(header)));
  }
  return {};
}

Status check_async(const InvokeArgs& args) {
  if (!args.async) return {};
  if (!args.method.empty() && args.method != "POST") {
    return bad_usage(fmt::format("-X {}: an asynchronous invocation is always a POST", args.method));
  }
  if (args.callback && !is_http_url(*args.callback)) {
    return bad_usage(fmt::format("--callback {}: write an http or https URL", *args.callback));
  }
  if (args.not_before) {
    if (auto time = parse_rfc3339(*args.not_before); !time) {
      return bad_usage(
          fmt::format("--not-before {}: write a time like 2026-01-02T03:04:05Z", *args.not_before));
    }
  }
  return {};
}

Status add_platform_headers(HttpRequest& request, const InvokeArgs& args) {
  if (args.call_id && !is_ulid(*args.call_id)) {
    return bad_usage(
        fmt::format("--call-id {}: a call id is a ULID: 26 characters, in capitals", *args.call_id));
  }
  std::optional<std::string> delay;
  if (args.delay_seconds) delay = fmt::format("{}", *args.delay_seconds);
  if (auto done = add_header(request, "X-Call-Id", "--call-id", args.call_id); !done) return done;
  if (auto done = add_header(request, "Idempotency-Key", "--idempotency-key", args.idempotency_key); !done)
    return done;
  if (auto done = add_header(request, "X-Callback-Url", "--callback", args.callback); !done) return done;
  if (auto done = add_header(request, "X-Delay-Seconds", "--delay", delay); !done) return done;
  return add_header(request, "X-Not-Before", "--not-before", args.not_before);
}

Result<int> invoke_sync(Api& api, const Target& target, const InvokeArgs& args, const HttpRequest& request) {
  AnswerWriter writer(AnswerKind::kLive, args.show_head);
  const HttpSinks sinks{
      .on_head = [&](const HttpHead& head) { writer.take_head(head); },
      .on_body = [&](std::string_view part) { return writer.take_body(part); },
  };
  if (auto done = api.stream(request, sinks); !done) return std::unexpected(done.error());
  return writer.finish(target, args.name);
}

Result<int> wait_and_answer(Api& api, const Target& target, const InvokeArgs& args, std::string_view id) {
  auto path = invocation_path(target, args.name, id);
  if (!path) return std::unexpected(path.error());
  Progress progress(target.json);
  auto ended = wait_for_end(api, *path, std::nullopt, progress);
  progress.clear();
  if (!ended) {
    Error error = ended.error();
    error.detail += fmt::format("\nThe invocation goes on: sterna invocations wait {} {}", args.name, id);
    return std::unexpected(std::move(error));
  }
  return tell_end(api, target, args.name, *path, *ended);
}

Result<int> invoke_async(Api& api, const Target& target, const InvokeArgs& args, const HttpRequest& request) {
  auto reply = api.fetch(request);
  if (!reply) return std::unexpected(reply.error());
  if (args.show_head) print_head(reply->head);
  if (reply->head.status >= 400) {
    if (reply->head.find("x-sterna-fault").empty()) return std::unexpected(error_of(*reply));
    return tell_fault(target, args.name, *reply);
  }
  const auto accepted = api::parse_json(reply->body);
  const std::string id = accepted ? cell(*accepted, "id") : "";
  if (!is_ulid(id)) {
    return fail(
        Code::kInternal, Component::kGateway, "broken_answer",
        fmt::format("{} did not answer with the invocation's id; is it a Sterna server?", target.url));
  }
  if (args.wait) return wait_and_answer(api, target, args, id);
  print(target.json ? reply->body + '\n' : fmt::format("{} {}\n", id, cell(*accepted, "state")));
  return kExitOk;
}

}  // namespace

Result<HttpRequest> invoke_request(const Api& api, const Target& target, const InvokeArgs& args) {
  auto path = function_path(target, args.name);
  if (!path) return std::unexpected(path.error());
  if (auto valid = check_raw(args); !valid) return std::unexpected(valid.error());
  if (auto valid = check_async(args); !valid) return std::unexpected(valid.error());
  *path += args.async ? "/async-invoke" : "/invoke";
  if (!args.path.empty()) {
    if (args.path.front() != '/' && args.path.front() != '?') *path += '/';
    *path += args.path;
  }
  HttpRequest request = api.request(args.method, *path);
  if (request.method.empty()) request.method = args.data || args.async ? "POST" : "GET";
  request.headers.insert(request.headers.end(), args.headers.begin(), args.headers.end());
  if (auto added = add_platform_headers(request, args); !added) return std::unexpected(added.error());
  return request;
}

Result<int> invoke(const Target& target, const InvokeArgs& args) {
  Api api(target);
  auto request = invoke_request(api, target, args);
  if (!request) return std::unexpected(request.error());
  File file;
  if (args.data) {
    auto attached = attach_body(*request, *args.data);
    if (!attached) return std::unexpected(attached.error());
    file = std::move(*attached);
  }
  if (args.async) return invoke_async(api, target, args, *request);
  return invoke_sync(api, target, args, *request);
}

}  // namespace sterna::cli
