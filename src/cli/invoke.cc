// sterna invoke: one call, its answer on stdout as it comes; a fault goes to stderr and the exit status.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "cli/commands.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

constexpr std::size_t kMaxFaultBytes = 64U << 10;

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
  request.upload = file.get();
  return file;
}

// Takes the answer: to stdout, or aside while it may be a fault. A function's own error statuses are answers
// like any other, though they carry X-Sterna-Fault too; a fault is a problem document of Sterna's.
class AnswerWriter {
 public:
  explicit AnswerWriter(bool show_head) : show_head_(show_head) {}

  void take_head(const HttpHead& head) {
    reply_.head = head;
    aside_ = fault() == "platform" ||
             (!fault().empty() && head.find("content-type").starts_with("application/problem+json"));
    if (!show_head_) return;
    print(head.status_line + "\r\n");
    for (const auto& [name, value] : head.headers) print(fmt::format("{}: {}\r\n", name, value));
    print("\r\n");
    std::fflush(stdout);
  }

  bool take_body(std::string_view part) {
    if (!aside_) return write(part);
    reply_.body.append(part);
    if (reply_.body.size() <= kMaxFaultBytes) return true;
    aside_ = false;  // larger than any problem of ours
    return write(reply_.body);
  }

  // The exit status, once the answer has ended.
  int finish(const Target& target, std::string_view function) const {
    if (!aside_) return kExitOk;
    const auto problem = api::parse_json(reply_.body);
    const bool is_ours =
        problem && problem->is_object() && problem->contains("reason") && problem->contains("component");
    if (!is_ours && fault() != "platform") {
      write(reply_.body);
      return kExitOk;
    }
    tell_fault(target, function);
    return fault() == "function" ? kExitFunctionFault : kExitPlatformFault;
  }

 private:
  static bool write(std::string_view part) {
    return std::fwrite(part.data(), 1, part.size(), stdout) == part.size() && std::fflush(stdout) == 0;
  }

  std::string_view fault() const { return reply_.head.find("x-sterna-fault"); }

  void tell_fault(const Target& target, std::string_view function) const {
    if (target.json) {
      fmt::print(stderr, "{}\n", reply_.body);
      return;
    }
    const Error error = error_of(reply_);
    fmt::print(stderr, "sterna: {} fault, {}: {}\n", fault(), error.reason, error.detail);
    if (const auto call = reply_.head.find("x-call-id"); !call.empty() && fault() == "function") {
      fmt::print(stderr, "sterna: what it logged: sterna logs {} --call-id {}\n", function, call);
    }
  }

  bool show_head_;
  bool aside_ = false;
  HttpReply reply_;
};

}  // namespace

Result<HttpRequest> invoke_request(const Api& api, const Target& target, const InvokeArgs& args) {
  auto path = function_path(target, args.name);
  if (!path) return std::unexpected(path.error());
  *path += "/invoke";
  if (!args.path.empty()) {
    if (args.path.front() != '/' && args.path.front() != '?') *path += '/';
    *path += args.path;
  }
  HttpRequest request = api.request(args.method, *path);
  if (request.method.empty()) request.method = args.data ? "POST" : "GET";
  for (const auto& header : args.headers) {
    if (header.find(':') == std::string::npos)
      return bad_usage(fmt::format("-H '{}': write 'Name: value'", header));
    request.headers.push_back(header);
  }
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
  AnswerWriter writer(args.show_head);
  const HttpSinks sinks{
      .on_head = [&](const HttpHead& head) { writer.take_head(head); },
      .on_body = [&](std::string_view part) { return writer.take_body(part); },
  };
  if (auto done = api.stream(*request, sinks); !done) return std::unexpected(done.error());
  return writer.finish(target, args.name);
}

}  // namespace sterna::cli
