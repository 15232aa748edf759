import React from "react";
export const C: React.FC = () => { const [a] = useState(1); return <Foo a={a}/>; };
